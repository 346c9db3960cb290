"""Putting a free fit on the scale of reference items: θ' = Aθ + B (Kolen & Brennan, 2014, ch. 6)."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from seedtest.errors import CalibrationError, DataError
from seedtest.irt.anchor_stability import AnchorStability, Comparison, StabilityRule, compare
from seedtest.irt.characteristic_curves import link_curves
from seedtest.irt.common_items import CommonItems, common_items
from seedtest.irt.exclusions import Exclusion, ExclusionKind
from seedtest.irt.parameters import Abilities, FloatArray, ItemParameters, Prior

MIN_COMMON_ITEMS = 2
LOWEST_CORRELATION = 0.5
"""Below this correlation of their difficulties, reference items do not agree on a common scale."""
LOWEST_CORRELATION_OF_CHOSEN = 0.9
"""The same once drifting items were dropped: of unrelated items too the rest then agrees, by choice."""
LARGEST_STRETCH = 5.0
"""Two scales whose units differ by more than this factor are not taken for the same trait."""
DEFAULT_STABILITY: Final = StabilityRule()
ERRORS: Final = ("se_a", "se_b", "se_c")


class LinkingMethod(StrEnum):
    """How slope and intercept are found: from means and spreads, or from the items' curves."""

    MEAN_SIGMA = "mean-sigma"
    MEAN_MEAN = "mean-mean"
    HAEBARA = "haebara"
    STOCKING_LORD = "stocking-lord"


@dataclass(frozen=True, slots=True)
class LinkingConstants:
    """θ' = slope·θ + intercept, from the free scale to the published one (slope A, intercept B).

    b' = A·b + B, a' = a/A, c' = c; standard errors of θ and b times |A|, of a divided by |A|. The
    constants count as known: their own sampling error is not added to the standard errors.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept) and self.slope != 0):
            raise DataError(
                f"No scale has slope {self.slope} and intercept {self.intercept}: "
                "linking constants must be finite and the slope not zero."
            )

    @property
    def inverse(self) -> "LinkingConstants":
        """The way back: θ = θ'/A − B/A."""
        return LinkingConstants(1 / self.slope, -self.intercept / self.slope)

    def apply_items(self, items: ItemParameters) -> ItemParameters:
        """Item parameters and their standard errors on the published scale."""
        stretch = abs(self.slope)
        return replace(
            items,
            a=items.a / self.slope,
            b=self.slope * items.b + self.intercept,
            se_a=items.se_a / stretch,
            se_b=items.se_b * stretch,
        )

    def apply_abilities(self, abilities: Abilities) -> Abilities:
        """Abilities and their standard errors on the published scale."""
        theta = self.slope * abilities.theta + self.intercept
        return replace(abilities, theta=theta, se=abilities.se * abs(self.slope))

    def apply_prior(self, prior: Prior) -> Prior:
        """Ability distribution on the published scale."""
        return Prior(self.slope * prior.mean + self.intercept, prior.sd * abs(self.slope))


@dataclass(frozen=True, slots=True)
class Linking:
    """What a search for linking constants found.

    Attributes
    ----------
    constants
        Slope and intercept; None where there are none.
    method
        How they were found; None: elsewhere.
    used_ids
        Common items that carry them.
    dropped
        Common items that do not, each with the reason: not usable, or drifting.
    reason
        Why there are no constants.
    se_slope, se_intercept
        Standard errors of the constants; NaN where those of the free items are unknown.
    stability
        Displacement, its standard error and robust z of every usable common item.
    """

    constants: LinkingConstants | None
    method: LinkingMethod | None
    used_ids: tuple[str, ...]
    dropped: tuple[Exclusion, ...]
    reason: str | None
    se_slope: float = math.nan
    se_intercept: float = math.nan
    stability: tuple[AnchorStability, ...] = ()


def link(
    free: ItemParameters,
    reference: ItemParameters,
    method: LinkingMethod | str = LinkingMethod.MEAN_SIGMA,
    stability: StabilityRule | None = DEFAULT_STABILITY,
) -> Linking:
    """Find the constants that put a free fit on the scale of the reference items.

    mean-sigma (Marco, 1977): A = sd(b_ref)/sd(b_free); mean-mean (Loyd & Hoover, 1980):
    A = mean(a_free)/mean(a_ref); both: B = mean(b_ref) − A·mean(b_free). haebara and stocking-lord minimise
    the distance of the items' or of the test's characteristic curves (see `characteristic_curves`).

    A common item is usable if a and b are finite and a > 0 on both sides; the others are in `dropped`, and
    so are drifting ones, by the rule of `anchor_stability.StabilityRule`. There are no constants, and
    `reason` says why, when

    - fewer than two common items are usable;
    - mean-sigma finds no spread of b on one side;
    - the items contradict each other: the two sides' difficulties correlate below 0.5, or below 0.9 if
      drifting ones were dropped (two items: they stand in opposite order), or the slope lies outside
      [1/5, 5].

    Standard errors of the constants are by the delta method (Ogasawara, 2000), from the standard errors of
    a, b and c as if parameters were independent; of the reference items an unknown error counts as 0.

    Parameters
    ----------
    free, reference
        Parameters on the scale of the fit and on the scale wanted.
    method
        `mean-sigma`, `mean-mean`, `haebara` or `stocking-lord`.
    stability
        When common items are dropped for drifting; None: never.

    Raises
    ------
    CalibrationError
        For a method that does not exist.
    """
    method = _known(method)
    pair, dropped = common_items(free, reference)
    if len(pair) < MIN_COMMON_ITEMS:
        too_few = f"{len(pair)} usable common items; {MIN_COMMON_ITEMS} are needed"
        return Linking(None, method, pair.free.item_ids, dropped, too_few)
    stable, drifted = _stable(pair, method, stability)
    dropped += drifted
    lowest = LOWEST_CORRELATION_OF_CHOSEN if drifted else LOWEST_CORRELATION
    solution, reason = _agreed(stable, method, lowest)
    if solution is None:
        return Linking(None, method, stable.free.item_ids, dropped, reason)
    se_slope, se_intercept = _errors(stable, solution)
    table = _stability(pair, stable, solution.constants, stability or DEFAULT_STABILITY)
    return Linking(
        solution.constants, method, stable.free.item_ids, dropped, None, se_slope, se_intercept, table
    )


def linked_elsewhere(
    free: ItemParameters,
    reference: ItemParameters,
    constants: LinkingConstants,
    stability: StabilityRule = DEFAULT_STABILITY,
) -> Linking:
    """Describe a link whose constants somebody else has found: every usable common item counts as used."""
    pair, dropped = common_items(free, reference)
    table = _stability(pair, pair, constants, stability) if len(pair) else ()
    return Linking(constants, None, pair.free.item_ids, dropped, None, stability=table)


@dataclass(frozen=True, eq=False)
class _Solution:
    """Constants, and their derivatives by a, b, c of the free and the reference items, (2, 6, n_items)."""

    constants: "LinkingConstants"
    influence: FloatArray


def _known(method: LinkingMethod | str) -> LinkingMethod:
    try:
        return LinkingMethod(method)
    except ValueError as error:
        raise CalibrationError(
            f"Unknown linking method {method!r}; choose one of {', '.join(LinkingMethod)}."
        ) from error


def _disagreement(pair: CommonItems, method: LinkingMethod, lowest: float) -> str | None:
    spread = min(np.ptp(pair.free.b), np.ptp(pair.reference.b))
    if spread == 0:
        return "the common items have no spread of difficulty" if method is LinkingMethod.MEAN_SIGMA else None
    correlation = float(np.corrcoef(pair.free.b, pair.reference.b)[0, 1])
    if correlation >= lowest:
        return None
    return (
        f"contradictory common items: the difficulties of {len(pair)} correlate {correlation:.2f} "
        f"with the reference, below {lowest}"
    )


def _agreed(pair: CommonItems, method: LinkingMethod, lowest: float) -> tuple[_Solution | None, str | None]:
    if contradiction := _disagreement(pair, method, lowest):
        return None, contradiction
    solution = _solved(pair, method)
    slope = None if solution is None else solution.constants.slope
    if slope is not None and 1 / LARGEST_STRETCH <= slope <= LARGEST_STRETCH:
        return solution, None
    found = "no slope is found: the curves do not meet; a slope" if slope is None else f"slope {slope:.3g}"
    return None, f"{found} lies outside [1/{LARGEST_STRETCH:g}, {LARGEST_STRETCH:g}]"


def _stable(
    pair: CommonItems, method: LinkingMethod, rule: StabilityRule | None
) -> tuple[CommonItems, tuple[Exclusion, ...]]:
    """Drop the worst drifting item and find the constants anew, until none drifts or the minimum is left."""
    dropped: list[Exclusion] = []
    if rule is None:
        return pair, ()
    fewest = rule.fewest_of(len(pair))
    while len(pair) > fewest and (np.ptp(pair.free.b) > 0 or method is not LinkingMethod.MEAN_SIGMA):
        solution = _solved(pair, method)
        if solution is None:
            break
        seen = _comparison(pair, pair, solution.constants, rule)
        worst = int(np.argmax(np.abs(seen.robust_z) * seen.drifts))
        if not seen.drifts[worst]:
            break
        reason = f"it drifts by {seen.displacement[worst]:+.2f} logits (robust z {seen.robust_z[worst]:+.1f})"
        dropped.append(
            Exclusion(ExclusionKind.ITEM, pair.free.item_ids[worst], reason, int(pair.free.n[worst]))
        )
        pair = pair.select(np.arange(len(pair)) != worst)
    return pair, tuple(dropped)


def _comparison(
    pair: CommonItems, kept: CommonItems, constants: LinkingConstants, rule: StabilityRule
) -> Comparison:
    slope, intercept = constants.slope, constants.intercept
    return compare(
        pair.displacement(slope, intercept),
        pair.displacement_errors(slope),
        kept.displacement(slope, intercept),
        rule,
    )


def _stability(
    pair: CommonItems, kept: CommonItems, constants: LinkingConstants, rule: StabilityRule
) -> tuple[AnchorStability, ...]:
    seen = _comparison(pair, kept, constants, rule)
    stays = set(kept.free.item_ids)
    return tuple(
        AnchorStability(item_id, float(shift), float(error), float(z), item_id in stays, bool(drifts))
        for item_id, shift, error, z, drifts in zip(
            pair.free.item_ids, seen.displacement, seen.error, seen.robust_z, seen.drifts, strict=True
        )
    )


def _solved(pair: CommonItems, method: LinkingMethod) -> _Solution | None:
    """Constants, without asking whether they make sense; None where there is no slope above 0."""
    if method is LinkingMethod.MEAN_SIGMA:
        return _mean_sigma(pair)
    if method is LinkingMethod.MEAN_MEAN:
        return _mean_mean(pair)
    near = _mean_mean(pair).constants
    found = link_curves(
        pair.free,
        pair.reference,
        (near.slope, near.intercept),
        of_the_test=method is LinkingMethod.STOCKING_LORD,
    )
    if not (np.isfinite([found.slope, found.intercept]).all() and found.slope > 0):
        return None
    return _Solution(LinkingConstants(found.slope, found.intercept), found.influence)


def _mean_sigma(pair: CommonItems) -> _Solution:
    free, reference, n = pair.free.b, pair.reference.b, len(pair)
    slope = float(reference.std() / free.std())
    by_free = -slope * (free - free.mean()) / (n * free.var())
    spread = reference.std()
    by_reference = np.zeros(n) if spread == 0 else (reference - reference.mean()) / (n * spread * free.std())
    influence = np.zeros((2, 6, n))
    influence[0, 1], influence[0, 4] = by_free, by_reference
    return _with_intercept(pair, slope, influence)


def _mean_mean(pair: CommonItems) -> _Solution:
    slope = float(pair.free.a.mean() / pair.reference.a.mean())
    influence = np.zeros((2, 6, len(pair)))
    influence[0, 0] = 1 / pair.reference.a.sum()
    influence[0, 3] = -slope / pair.reference.a.sum()
    return _with_intercept(pair, slope, influence)


def _with_intercept(pair: CommonItems, slope: float, influence: FloatArray) -> _Solution:
    """B = mean(b_ref) − A·mean(b_free)."""
    mean = float(pair.free.b.mean())
    influence[1] = -mean * influence[0]
    influence[1, 1] -= slope / len(pair)
    influence[1, 4] += 1 / len(pair)
    return _Solution(LinkingConstants(slope, float(pair.reference.b.mean() - slope * mean)), influence)


def _errors(pair: CommonItems, solution: _Solution) -> tuple[float, float]:
    """Delta method: Var = Σ influence²·se², over the parameters that have an influence."""
    errors = np.stack([getattr(pair.free, name) for name in ERRORS])
    # Of an item whose b has an error, a or c without one was held, such as c of a 2PL: it does not vary.
    errors[np.isnan(errors) & ~np.isnan(errors[1])] = 0.0
    known = np.nan_to_num(np.stack([getattr(pair.reference, name) for name in ERRORS]))
    both = np.concatenate([errors, known])
    terms = np.where(solution.influence == 0, 0.0, solution.influence * both)
    slope, intercept = np.sqrt((terms**2).sum(axis=(1, 2)))
    return float(slope), float(intercept)
