"""Items that two sets of parameters have in common, ready to be compared."""

from dataclasses import dataclass

import numpy as np

from seedtest.irt.exclusions import Exclusion, ExclusionKind
from seedtest.irt.parameters import BoolArray, FloatArray, ItemParameters

LARGEST_COMPARABLE_C = 0.45
"""From about here on a curve hardly reaches down to one half, and where it would says nothing."""


@dataclass(frozen=True, slots=True)
class CommonItems:
    """The same items on both scales, in the same order."""

    free: ItemParameters
    reference: ItemParameters

    def __len__(self) -> int:
        return len(self.free)

    def select(self, keep: BoolArray) -> "CommonItems":
        """Only the items where `keep`, (n_items,), is true."""
        return CommonItems(self.free.select(keep), self.reference.select(keep))

    def displacement(self, slope: float, intercept: float) -> FloatArray:
        """Return (A·b + B) − b_ref in logits, (n_items,): above 0, the item has become harder.

        Where the reference has a lower asymptote and the fit none, b_ref is replaced by the θ at which the
        reference expects one half right, b + log(1 − 2c)/a: that is what a difficulty without guessing means.
        """
        return np.asarray(slope * self.free.b + intercept - self._reference_difficulty())

    def displacement_errors(self, slope: float) -> FloatArray:
        """Return √(A²·se_b² + se_b_ref²) in logits, (n_items,); of an error that is unknown: 0.

        The constants count as known.
        """
        return np.hypot(slope * np.nan_to_num(self.free.se_b), np.nan_to_num(self.reference.se_b))

    def _reference_difficulty(self) -> FloatArray:
        a, b, c = self.reference.a, self.reference.b, np.nan_to_num(self.reference.c)
        differs = (self.free.c == 0) & (c > 0)
        return np.where(differs, b + np.log1p(-2 * np.minimum(c, LARGEST_COMPARABLE_C)) / a, b)


def common_items(
    free: ItemParameters, reference: ItemParameters
) -> tuple[CommonItems, tuple[Exclusion, ...]]:
    """Return the items usable on both sides, a and b finite and a > 0, and the common ones that are not."""
    shared = free.select(reference.index_of(free.item_ids) >= 0)
    expected = reference.take(reference.index_of(shared.item_ids))
    estimated_ok, reference_ok = _usable(shared), _usable(expected)
    usable = estimated_ok & reference_ok
    dropped = tuple(
        Exclusion(ExclusionKind.ITEM, item_id, _fault(free_ok=ok), int(n))
        for item_id, ok, both, n in zip(shared.item_ids, estimated_ok, usable, shared.n, strict=True)
        if not both
    )
    return CommonItems(shared.select(usable), expected.select(usable)), dropped


def _usable(items: ItemParameters) -> BoolArray:
    return np.isfinite(items.a) & np.isfinite(items.b) & (items.a > 0)


def _fault(*, free_ok: bool) -> str:
    side = "reference" if free_ok else "estimated"
    return f"its {side} parameters are not finite with a > 0"
