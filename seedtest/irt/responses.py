"""Right and wrong answers as arrays."""

from dataclasses import dataclass
from itertools import compress

import numpy as np
import polars as pl

from seedtest.errors import DataError
from seedtest.irt.parameters import BoolArray, IndexArray

COLUMNS = ("user_id", "item_id", "correct")


@dataclass(frozen=True, eq=False)
class Responses:
    """Answers of learners to items; a learner may have answered an item more than once.

    Attributes
    ----------
    user_ids, item_ids
        Distinct ids, (n_users,) and (n_items,).
    user, item
        Position of each answer's learner and item in these, (n_responses,).
    correct
        Whether the answer was right, (n_responses,).
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    user: IndexArray
    item: IndexArray
    correct: BoolArray

    def __post_init__(self) -> None:
        if not self.user.shape == self.item.shape == self.correct.shape:
            raise DataError(
                f"Responses have {self.user.size} users, {self.item.size} items and {self.correct.size} "
                "verdicts; there must be one of each per answer."
            )
        for name, index, size in (
            ("user", self.user, len(self.user_ids)),
            ("item", self.item, len(self.item_ids)),
        ):
            if index.size and not 0 <= index.min() <= index.max() < size:
                raise DataError(
                    f"A response points to {name} {index.min()}…{index.max()}, outside 0…{size - 1}."
                )

    def __len__(self) -> int:
        return self.correct.size

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Responses":
        """Take the columns user_id, item_id (text) and correct (boolean) of a frame.

        Ids are sorted and answers ordered by (user, item, correct): nothing that is computed from
        them can depend on the order of the rows.

        Raises
        ------
        DataError
            For a missing column, a column of the wrong type or a null.
        """
        _require_columns(frame)
        user_ids, user = _encode(frame["user_id"])
        item_ids, item = _encode(frame["item_id"])
        codes = pl.DataFrame({"user": user, "item": item, "correct": frame["correct"]}).sort(pl.all())
        return cls(
            user_ids,
            item_ids,
            codes["user"].to_numpy(),
            codes["item"].to_numpy(),
            codes["correct"].to_numpy().astype(np.bool_),
        )

    def select_items(self, keep: BoolArray) -> "Responses":
        """Only the items where `keep`, (n_items,), is true, and the learners who answered any of them."""
        kept = keep[self.item]
        present = np.zeros(len(self.user_ids), dtype=np.bool_)
        present[self.user[kept]] = True
        return Responses(
            tuple(compress(self.user_ids, present)),
            tuple(compress(self.item_ids, keep)),
            _renumbered(present)[self.user[kept]],
            _renumbered(keep)[self.item[kept]],
            self.correct[kept],
        )


def _renumbered(keep: BoolArray) -> IndexArray:
    """Give the kept elements new numbers from 0."""
    return (np.cumsum(keep) - 1).astype(np.int32)


def _require_columns(frame: pl.DataFrame) -> None:
    for name, dtype in zip(COLUMNS, (pl.String, pl.String, pl.Boolean), strict=True):
        if name not in frame.columns:
            raise DataError(f"Responses need a column {name}; there are only {', '.join(frame.columns)}.")
        if frame[name].dtype != dtype:
            raise DataError(f"Column {name} of the responses is {frame[name].dtype}; cast it to {dtype}.")
        if nulls := frame[name].null_count():
            raise DataError(f"Column {name} of the responses is null in {nulls} rows; leave these out.")


def _encode(ids: pl.Series) -> tuple[tuple[str, ...], pl.Series]:
    distinct = ids.unique().sort()
    codes = ids.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32)
    return tuple(distinct.to_list()), codes
