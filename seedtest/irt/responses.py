"""Right and wrong answers as arrays: one sorted row of codes a learner."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import compress

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from seedtest.errors import DataError
from seedtest.irt.compiled import kernels
from seedtest.irt.parameters import BoolArray, IndexArray, IntArray
from seedtest.irt.rows import Block, Rows, cut, threads_for

COLUMNS = ("user_id", "item_id", "correct")

MAX_ITEMS = 2**30 - 1
"""An item's number and the verdict share 31 bits."""


@dataclass(frozen=True, eq=False)
class Responses:
    """Answers of learners to items; a learner may have answered an item more than once.

    Four bytes an answer. Rows are sorted, so that nothing computed from them depends on the order the
    answers came in.

    Attributes
    ----------
    user_ids, item_ids
        Distinct ids, (n_users,) and (n_items,).
    start
        Where each learner's row starts in `code`, and where the last one ends, (n_users + 1,).
    code
        2·item + 1 for a right answer and 2·item for a wrong one, `item` being the position among the
        ids, (n_responses,).
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    start: IntArray
    code: IndexArray

    @classmethod
    def from_arrays(
        cls,
        user_ids: tuple[str, ...],
        item_ids: tuple[str, ...],
        user: ArrayLike,
        item: ArrayLike,
        correct: ArrayLike,
    ) -> "Responses":
        """Take positions among the ids and verdicts, each (n_responses,), in any order.

        Raises
        ------
        DataError
            When the lengths differ, a position lies outside, or a verdict is neither 0 nor 1.
        """
        users, items, verdicts = _positions(user), _positions(item), _verdicts(correct)
        if not users.shape == items.shape == verdicts.shape:
            raise DataError(
                f"Responses have {users.size} users, {items.size} items and {verdicts.size} "
                "verdicts; there must be one of each per answer."
            )
        for name, index, size in (("user", users, len(user_ids)), ("item", items, len(item_ids))):
            if index.size and not 0 <= index.min() <= index.max() < size:
                raise DataError(
                    f"A response points to {name} {index.min()}…{index.max()}, outside 0…{size - 1}."
                )
        start, code = rows_of_codes(users, items, verdicts, len(user_ids))
        return cls(user_ids, item_ids, start, code)

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Responses":
        """Take the columns user_id, item_id (text) and correct (boolean) of a frame.

        Raises
        ------
        DataError
            For a missing column, a column of the wrong type or a null.
        """
        _require_columns(frame)
        user_ids, user = _encode(frame["user_id"])
        item_ids, item = _encode(frame["item_id"])
        return cls.from_arrays(user_ids, item_ids, user, item, frame["correct"].to_numpy())

    def __len__(self) -> int:
        return self.code.size

    @property
    def n_users(self) -> int:
        """Learners, with or without answers."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Items, with or without answers."""
        return len(self.item_ids)

    @property
    def user(self) -> IndexArray:
        """Position of each answer's learner, (n_responses,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.start))

    @property
    def item(self) -> IndexArray:
        """Position of each answer's item, (n_responses,)."""
        return self.code >> 1

    @property
    def correct(self) -> BoolArray:
        """Whether the answer was right, (n_responses,)."""
        return (self.code & 1).astype(np.bool_)

    def blocks(self, n_parts: int) -> Sequence[Block]:
        """Cut learners into parts with about equally many answers."""
        return cut(Rows(self.start, self.code), n_parts)

    def select_items(self, keep: BoolArray) -> "Responses":
        """Only the items where `keep`, (n_items,), is true, and the learners who answered any of them."""
        if keep.all() and (np.diff(self.start) > 0).all():
            return self
        counting = kernels("counting")
        new_item = np.where(keep, np.cumsum(keep) - 1, -1).astype(np.int32)
        lengths = np.empty(self.n_users, dtype=np.int64)
        counting.kept_lengths(self.start, self.code, new_item, lengths)
        present = lengths > 0
        row_of = np.where(present, np.cumsum(present) - 1, -1)
        start = np.zeros(int(present.sum()) + 1, dtype=np.int64)
        code = np.empty(int(lengths.sum()), dtype=np.int32)
        counting.kept_codes(self.start, self.code, new_item, row_of, start, code)
        return Responses(
            tuple(compress(self.user_ids, present)), tuple(compress(self.item_ids, keep)), start, code
        )


def rows_of_codes(
    group: IndexArray, item: IndexArray, correct: BoolArray, n_groups: int
) -> tuple[IntArray, IndexArray]:
    """Collect answers into one sorted row of codes a group: `start` and `code` as in `Responses`.

    Answers to items below 0 are left out.
    """
    counting = kernels("counting")
    start = np.empty(n_groups + 1, dtype=np.int64)
    counting.row_starts(group, item, start)
    code = np.empty(int(start[-1]), dtype=np.int32)
    counting.fill_rows(group, item, correct, start[:-1].copy(), code)
    sort_rows(start, code)
    return start, code


def sort_rows(start: IntArray, code: IndexArray) -> None:
    """Sort every row in place."""
    sort = kernels("counting").sort_rows
    n_threads = threads_for(code.size)
    with ThreadPoolExecutor(n_threads) as pool:
        list(
            pool.map(lambda part: sort(start, code, part.first, part.last), cut(Rows(start, code), n_threads))
        )


def _positions(values: ArrayLike) -> IndexArray:
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"Positions of responses are {array.dtype}; whole numbers are needed.")
    if array.size and not -(2**31) <= array.min() <= array.max() <= MAX_ITEMS:
        raise DataError(f"Positions of responses lie in {array.min()}…{array.max()}, beyond {MAX_ITEMS}.")
    return np.ascontiguousarray(array, dtype=np.int32)


def _verdicts(values: ArrayLike) -> BoolArray:
    array = np.asarray(values)
    if array.dtype == np.bool_ or array.size == 0:
        return np.ascontiguousarray(array, dtype=np.bool_)
    if not np.isin(array, (0, 1)).all():
        raise DataError("A response is neither right (1) nor wrong (0): leave out missing or partial ones.")
    return np.ascontiguousarray(array, dtype=np.bool_)


def _require_columns(frame: pl.DataFrame) -> None:
    for name, dtype in zip(COLUMNS, (pl.String, pl.String, pl.Boolean), strict=True):
        if name not in frame.columns:
            raise DataError(f"Responses need a column {name}; there are only {', '.join(frame.columns)}.")
        if frame[name].dtype != dtype:
            raise DataError(f"Column {name} of the responses is {frame[name].dtype}; cast it to {dtype}.")
        if nulls := frame[name].null_count():
            raise DataError(f"Column {name} of the responses is null in {nulls} rows; leave these out.")


def _encode(ids: pl.Series) -> tuple[tuple[str, ...], IndexArray]:
    distinct = ids.unique().sort()
    codes = ids.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32)
    return tuple(distinct.to_list()), codes.to_numpy()
