"""Item parameters, abilities and the ability distribution: what the computations take and give."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import compress

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from seedtest.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
IndexArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Prior:
    """A normal distribution, N(mean, sd²); of ability unless said otherwise, in logits."""

    mean: float = 0.0
    sd: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean) and np.isfinite(self.sd) and self.sd > 0):
            raise DataError(
                f"The prior N({self.mean}, {self.sd}²) is no distribution: give a finite mean and sd > 0."
            )


STANDARD_NORMAL = Prior()


@dataclass(frozen=True, eq=False)
class ItemParameters:
    """Parameters of items under P(correct | θ) = c + (1 − c)·logistic(a(θ − b)).

    Attributes
    ----------
    item_ids
        Distinct ids, (n_items,).
    a, b, c
        Discrimination (1/logits), difficulty (logits), lower asymptote (probability), (n_items,).
    se_a, se_b, se_c
        Standard errors in the unit of their parameter, (n_items,); NaN = unknown.
    n
        Answers the parameters were estimated from, (n_items,); 0 = unknown.

    Raises
    ------
    DataError
        When the lengths differ or an id occurs twice.
    """

    item_ids: tuple[str, ...]
    a: FloatArray
    b: FloatArray
    c: FloatArray
    se_a: FloatArray
    se_b: FloatArray
    se_c: FloatArray
    n: IntArray

    def __post_init__(self) -> None:
        for field in fields(self)[1:]:
            shape = np.shape(getattr(self, field.name))
            if shape != (len(self.item_ids),):
                raise DataError(
                    f"Item parameter {field.name} has shape {shape}; there are {len(self.item_ids)} items."
                )
        if len(set(self.item_ids)) != len(self.item_ids):
            twice = next(i for i in self.item_ids if self.item_ids.count(i) > 1)
            raise DataError(f"Item {twice!r} has two rows of parameters; keep one.")

    @classmethod
    def from_values(
        cls,
        item_ids: Sequence[str],
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike = 0.0,
        n: ArrayLike = 0,
    ) -> "ItemParameters":
        """Parameters known from elsewhere: standard errors unknown; one number serves all items."""
        shape = (len(item_ids),)

        def column(values: ArrayLike) -> FloatArray:
            return np.broadcast_to(np.asarray(values, dtype=np.float64), shape).copy()

        unknown = np.full(shape, np.nan)
        counts = np.broadcast_to(np.asarray(n, dtype=np.int64), shape).copy()
        return cls(tuple(item_ids), column(a), column(b), column(c), unknown, unknown, unknown, counts)

    def __len__(self) -> int:
        return len(self.item_ids)

    def index_of(self, ids: pl.Series | Sequence[str]) -> IndexArray:
        """Position of each id among these items, (n_ids,); −1 for an id that is not here or null."""
        if not isinstance(ids, pl.Series):
            # Without polars, whose threads a forked process has lost: anchored fits work there too.
            position = {item_id: at for at, item_id in enumerate(self.item_ids)}
            return np.array([position.get(item_id, -1) for item_id in ids], dtype=np.int32)
        wanted = ids.cast(pl.String)
        positions = pl.Series("position", range(len(self)), dtype=pl.Int32)
        known = pl.Series("known", self.item_ids, dtype=pl.String)
        return wanted.replace_strict(known, positions, default=-1, return_dtype=pl.Int32).to_numpy()

    def with_values_of(self, known: "ItemParameters", mask: BoolArray) -> "ItemParameters":
        """Take parameters and standard errors from elsewhere where the mask, (n_items,), is true."""
        at = known.index_of(self.item_ids)[mask]
        columns = {name: getattr(self, name).copy() for name in ("a", "b", "c", "se_a", "se_b", "se_c")}
        for name, column in columns.items():
            column[mask] = getattr(known, name)[at]
        return replace(self, **columns)

    def select(self, mask: BoolArray) -> "ItemParameters":
        """Only the items where the mask, (n_items,), is true, in the same order."""
        kept = tuple(compress(self.item_ids, mask))
        arrays = {field.name: getattr(self, field.name)[mask] for field in fields(self)[1:]}
        return replace(self, item_ids=kept, **arrays)

    def take(self, at: IndexArray) -> "ItemParameters":
        """Only the items at these positions, each (n_at,) and distinct, in this order."""
        arrays = {field.name: getattr(self, field.name)[at] for field in fields(self)[1:]}
        return replace(self, item_ids=tuple(self.item_ids[i] for i in at), **arrays)


@dataclass(frozen=True, slots=True)
class AbilityEstimate:
    """Ability of one learner: θ and its standard error (logits), NaN without a counted answer."""

    theta: float
    se: float
    n: int

    def as_prior(self) -> Prior:
        """Return the posterior as a normal prior for answers still to come."""
        return Prior(self.theta, self.se)


@dataclass(frozen=True, eq=False)
class GroupScores:
    """EAPs of groups of answers, each (n_groups,); NaN, NaN, 0 for a group without a counted answer."""

    theta: FloatArray
    se: FloatArray
    n: IntArray


@dataclass(frozen=True, eq=False)
class Abilities:
    """EAPs of learners, each (n_users,): θ and se in logits, n counted answers."""

    user_ids: tuple[str, ...]
    theta: FloatArray
    se: FloatArray
    n: IntArray

    def __len__(self) -> int:
        return len(self.user_ids)
