"""Putting a free fit on the scale of reference items: θ' = Aθ + B (Kolen & Brennan, 2014, ch. 6)."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from seedtest.errors import CalibrationError, DataError
from seedtest.irt.exclusions import Exclusion, ExclusionKind
from seedtest.irt.parameters import Abilities, BoolArray, ItemParameters, Prior

MIN_COMMON_ITEMS = 2
LOWEST_CORRELATION = 0.5
"""Below this correlation of their difficulties, reference items do not agree on a common scale."""
LARGEST_STRETCH = 5.0
"""Two scales whose units differ by more than this factor are not taken for the same trait."""


class LinkingMethod(StrEnum):
    """How the slope is found; the intercept always matches the mean difficulties."""

    MEAN_SIGMA = "mean-sigma"
    MEAN_MEAN = "mean-mean"


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
    """Constants, or None and the reason; which common items carried them and which could not."""

    constants: LinkingConstants | None
    method: LinkingMethod
    used_ids: tuple[str, ...]
    dropped: tuple[Exclusion, ...]
    reason: str | None


def link(
    free: ItemParameters,
    reference: ItemParameters,
    method: LinkingMethod | str = LinkingMethod.MEAN_SIGMA,
) -> Linking:
    """Find the constants that put a free fit on the scale of the reference items.

    mean-sigma (Marco, 1977): A = sd(b_ref)/sd(b_free); mean-mean (Loyd & Hoover, 1980):
    A = mean(a_free)/mean(a_ref). Both: B = mean(b_ref) − A·mean(b_free).

    A common item is usable if a and b are finite and a > 0 on both sides; the others are in `dropped`.
    There are no constants, and `reason` says why, when

    - fewer than two common items are usable;
    - mean-sigma finds no spread of b on one side;
    - the items contradict each other: the two sides' difficulties correlate below 0.5 (two items:
      they stand in opposite order), or the slope lies outside [1/5, 5].

    Parameters
    ----------
    free, reference
        Parameters on the scale of the fit and on the scale wanted.
    method
        `mean-sigma` or `mean-mean`.

    Raises
    ------
    CalibrationError
        For a method that does not exist.
    """
    method = _known(method)
    pair, dropped = _common(free, reference)
    if len(pair) < MIN_COMMON_ITEMS:
        too_few = f"{len(pair)} usable common items; {MIN_COMMON_ITEMS} are needed"
        return Linking(None, method, pair.free.item_ids, dropped, too_few)
    constants, reason = _agreed_constants(pair, method)
    return Linking(constants, method, pair.free.item_ids, dropped, reason)


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same items on both scales, in the same order."""

    free: ItemParameters
    reference: ItemParameters

    def __len__(self) -> int:
        return len(self.free)


def _known(method: LinkingMethod | str) -> LinkingMethod:
    try:
        return LinkingMethod(method)
    except ValueError as error:
        raise CalibrationError(
            f"Unknown linking method {method!r}; choose one of {', '.join(LinkingMethod)}."
        ) from error


def _common(free: ItemParameters, reference: ItemParameters) -> tuple[_Pair, tuple[Exclusion, ...]]:
    shared = free.select(reference.index_of(free.item_ids) >= 0)
    expected = _take(reference, shared)
    estimated_ok, reference_ok = _usable(shared), _usable(expected)
    dropped = tuple(
        Exclusion(ExclusionKind.ITEM, item_id, _fault(free_ok=ok), int(n))
        for item_id, ok, both, n in zip(
            shared.item_ids, estimated_ok, estimated_ok & reference_ok, shared.n, strict=True
        )
        if not both
    )
    usable = estimated_ok & reference_ok
    return _Pair(shared.select(usable), expected.select(usable)), dropped


def _take(reference: ItemParameters, shared: ItemParameters) -> ItemParameters:
    at = reference.index_of(shared.item_ids)
    return ItemParameters(
        shared.item_ids,
        *(getattr(reference, name)[at] for name in ("a", "b", "c", "se_a", "se_b", "se_c", "n")),
    )


def _usable(items: ItemParameters) -> BoolArray:
    return np.isfinite(items.a) & np.isfinite(items.b) & (items.a > 0)


def _fault(*, free_ok: bool) -> str:
    side = "reference" if free_ok else "estimated"
    return f"its {side} parameters are not finite with a > 0"


def _disagreement(pair: _Pair, method: LinkingMethod) -> str | None:
    spread = min(np.ptp(pair.free.b), np.ptp(pair.reference.b))
    if spread == 0:
        return "the common items have no spread of difficulty" if method is LinkingMethod.MEAN_SIGMA else None
    correlation = float(np.corrcoef(pair.free.b, pair.reference.b)[0, 1])
    if correlation >= LOWEST_CORRELATION:
        return None
    return (
        f"contradictory common items: the difficulties of {len(pair)} correlate {correlation:.2f} "
        f"with the reference, below {LOWEST_CORRELATION}"
    )


def _agreed_constants(pair: _Pair, method: LinkingMethod) -> tuple[LinkingConstants | None, str | None]:
    if contradiction := _disagreement(pair, method):
        return None, contradiction
    constants = _constants(pair, method)
    if 1 / LARGEST_STRETCH <= constants.slope <= LARGEST_STRETCH:
        return constants, None
    return None, f"slope {constants.slope:.3g} lies outside [1/{LARGEST_STRETCH:g}, {LARGEST_STRETCH:g}]"


def _constants(pair: _Pair, method: LinkingMethod) -> LinkingConstants:
    if method is LinkingMethod.MEAN_SIGMA:
        slope = float(pair.reference.b.std() / pair.free.b.std())
    else:
        slope = float(pair.free.a.mean() / pair.reference.a.mean())
    return LinkingConstants(slope, float(pair.reference.b.mean() - slope * pair.free.b.mean()))
