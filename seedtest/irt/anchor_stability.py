"""Whether common items kept their difficulty, and which of them may be dropped."""

from dataclasses import dataclass

import numpy as np

from seedtest.errors import CalibrationError
from seedtest.irt.parameters import BoolArray, FloatArray

IQR_OF_SD = 0.74
"""Interquartile range times 0.74: a normal distribution's standard deviation, unmoved by few outliers."""

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class StabilityRule:
    """When a common item drifts, and how many may be dropped.

    An item drifts if its displacement (A·b + B) − b_ref lies

    - beyond ± `largest_displacement` logits: it matters. Half a logit is the usual bound (Wright & Douglas,
      1976);
    - beyond ± `largest_z` as a robust z, (displacement − median)/(0.74·interquartile range) (Huynh & Meyer,
      2010): it is not one among many. z = 2.7 lies outside for 1 in 140 of stable items;
    - beyond ± `largest_error_multiple` times its standard error √(A²·se_b² + se_b_ref²): chance does not
      explain it (Lord, 1980, ch. 14). Without this, very easy and very hard items would be dropped
      for the few learners near them: robust z takes all items as equally exact. Three standard errors lie
      outside for 1 in 370 of stable items. An error that is unknown explains nothing.

    The item with the largest |z| is dropped and the constants found anew, as long as more than
    `fewest_kept` items and more than the share `smallest_share_kept` of the usable ones are left: anchors
    that disagree by the dozen are no outliers, and the check for contradictory items must see them.
    """

    largest_displacement: float = 0.5
    largest_z: float = 2.7
    largest_error_multiple: float = 3.0
    fewest_kept: int = 5
    smallest_share_kept: float = 0.8

    def __post_init__(self) -> None:
        bounds = (self.largest_displacement, self.largest_z, self.largest_error_multiple)
        if not (min(bounds) > 0 and self.fewest_kept >= 2):
            raise CalibrationError(
                "The rule for drifting anchors needs bounds above 0 and keeps at least 2 anchors; "
                f"it is given {', '.join(map(str, bounds))} and {self.fewest_kept}."
            )
        if not 0 < self.smallest_share_kept <= 1:
            raise CalibrationError(
                f"The share of anchors kept is {self.smallest_share_kept}; it must lie in (0, 1]."
            )

    def fewest_of(self, n_usable: int) -> int:
        """Items that stay, of so many usable ones."""
        return max(self.fewest_kept, int(np.ceil(self.smallest_share_kept * n_usable)))


@dataclass(frozen=True, slots=True)
class AnchorStability:
    """A common item on the linked scale.

    Attributes
    ----------
    item_id
        Id.
    displacement
        (A·b + B) − b_ref with the final constants (logits): above 0, the item has become harder.
    error
        Standard error of the displacement (logits), from those of both difficulties; an unknown one adds 0.
    robust_z
        (displacement − median)/(0.74·interquartile range) among the items kept.
    kept
        Whether it carried the linking.
    drifts
        Whether the rule's bounds are passed; a kept item that drifts could not be dropped for the minimum.
    """

    item_id: str
    displacement: float
    error: float
    robust_z: float
    kept: bool
    drifts: bool


@dataclass(frozen=True, eq=False)
class Comparison:
    """Common items side by side, each (n_items,): logits, logits, robust z, whether the rule is passed."""

    displacement: FloatArray
    error: FloatArray
    robust_z: FloatArray
    drifts: BoolArray


def robust_z(displacement: FloatArray, among: FloatArray) -> FloatArray:
    """Distance from the median of `among` in robust standard deviations, (n_items,); ±∞ without spread."""
    low, middle, high = np.quantile(among, [0.25, 0.5, 0.75])
    distance = displacement - middle
    distance[np.abs(distance) < ROUNDING] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance / (IQR_OF_SD * (high - low))
    return np.where(distance == 0, 0.0, z)


def compare(
    displacement: FloatArray, error: FloatArray, among: FloatArray, rule: StabilityRule
) -> Comparison:
    """Judge displacements with these standard errors, each (n_items,), `among` those of the items kept."""
    size, z = np.abs(displacement), robust_z(displacement, among)
    matters, explained = size > rule.largest_displacement, size <= rule.largest_error_multiple * error
    return Comparison(displacement, error, z, matters & (np.abs(z) > rule.largest_z) & ~explained)
