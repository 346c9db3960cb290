"""Simulated answers of the sizes that are measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from seedtest.irt import Responses
from seedtest.irt.parameters import BoolArray, FloatArray, IndexArray, IntArray
from seedtest.irt.rows import Rows

USERS_AT_ONCE = 50_000
ROWS_A_FILE = 5_000_000


@dataclass(frozen=True)
class Size:
    """How many learners answer how many of how many items."""

    n_users: int
    n_items: int
    answers_each: int

    @property
    def n_answers(self) -> int:
        """All answers."""
        return self.n_users * self.answers_each

    def __str__(self) -> str:
        if self.answers_each == self.n_items:
            return f"dense {self.n_users:,} × {self.n_items:,}"
        return f"sparse {self.n_users:,} × {self.n_items:,}, {self.answers_each} each"


@dataclass(frozen=True, eq=False)
class Cohort:
    """2PL answers, learner by learner, and the parameters behind them, (n_items,).

    `code` is 2·item + correct, (n_users · answers_each,).
    """

    size: Size
    code: IndexArray
    a: FloatArray
    b: FloatArray

    @classmethod
    def simulate(cls, size: Size, seed: int = 1) -> Self:
        """Draw a ~ lognormal(0, 0.3), b and θ ~ N(0, 1), and items without replacement."""
        rng = np.random.default_rng(seed)
        a, b = rng.lognormal(0.0, 0.3, size.n_items), rng.standard_normal(size.n_items)
        code = np.empty(size.n_answers, dtype=np.int32)
        for first in range(0, size.n_users, USERS_AT_ONCE):
            n_users = min(USERS_AT_ONCE, size.n_users - first)
            item = _drawn(rng, Size(n_users, size.n_items, size.answers_each))
            z = a[item] * (rng.standard_normal((n_users, 1)) - b[item])
            answers = 2 * item + (rng.random(item.shape) < 1 / (1 + np.exp(-z)))
            at = first * size.answers_each
            code[at : at + answers.size] = answers.ravel()
        return cls(size, code, a, b)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, in order."""
        return numbered("q", self.size.n_items)

    @property
    def user(self) -> IndexArray:
        """Position of each answer's learner, (n_answers,)."""
        return np.repeat(np.arange(self.size.n_users, dtype=np.int32), self.size.answers_each)

    @property
    def item(self) -> IndexArray:
        """Position of each answer's item, (n_answers,)."""
        return self.code >> 1

    @property
    def correct(self) -> BoolArray:
        """Whether the answer was right, (n_answers,)."""
        return (self.code & 1).astype(np.bool_)

    @property
    def rows(self) -> Rows:
        """The answers as the engine takes them, with every row sorted."""
        by_user = np.sort(self.code.reshape(self.size.n_users, -1), axis=1)
        start: IntArray = np.arange(self.size.n_users + 1, dtype=np.int64) * self.size.answers_each
        return Rows(start, by_user.ravel())

    @property
    def responses(self) -> Responses:
        """The answers in memory."""
        rows = self.rows
        return Responses(numbered("u", self.size.n_users), self.item_ids, rows.start, rows.code)

    def save(self, folder: Path) -> None:
        """Write positions of learners, items and verdicts as 32-bit numbers, which any language reads."""
        self.user.tofile(folder / "user.i32")
        self.item.tofile(folder / "item.i32")
        self.correct.astype(np.int32).tofile(folder / "correct.i32")

    def save_rows(self, folder: Path) -> None:
        """Write answers as the engine holds them, so that reading them takes no memory of its own."""
        rows = self.rows
        rows.start.tofile(folder / "start.i64")
        rows.code.tofile(folder / "code.i32")
        np.array([self.size.n_users, self.size.n_items], dtype=np.int64).tofile(folder / "size.i64")

    def write_shuffled(self, folder: Path, seed: int = 2) -> None:
        """Write Parquet files with ids as text, all rows in random order."""
        order = np.random.default_rng(seed).permutation(np.arange(self.size.n_answers, dtype=np.int32))
        user_ids, item_ids = (
            pl.Series(numbered(letter, n), dtype=pl.String)
            for letter, n in (("u", self.size.n_users), ("q", self.size.n_items))
        )
        for number, at in enumerate(_slices(order)):
            code = self.code[at]
            frame = pl.DataFrame(
                {
                    "user_id": user_ids.gather(at // self.size.answers_each),
                    "item_id": item_ids.gather(code >> 1),
                    "correct": (code & 1).astype(np.bool_),
                }
            )
            frame.write_parquet(folder / f"part-{number:03}.parquet")


def numbered(letter: str, n: int) -> tuple[str, ...]:
    """Return ids whose order is that of their numbers."""
    return tuple(f"{letter}{number:07}" for number in range(n))


def _slices(order: IndexArray) -> Iterator[IndexArray]:
    for first in range(0, order.size, ROWS_A_FILE):
        yield order[first : first + ROWS_A_FILE]


def _drawn(rng: np.random.Generator, size: Size) -> IndexArray:
    """Items of each learner, distinct, (n_users, answers_each)."""
    if size.answers_each == size.n_items:
        return np.tile(np.arange(size.n_items, dtype=np.int32), (size.n_users, 1))
    item = rng.integers(0, size.n_items, (size.n_users, size.answers_each), dtype=np.int32)
    while True:
        item.sort(axis=1)
        again = np.zeros(item.shape, dtype=np.bool_)
        again[:, 1:] = item[:, 1:] == item[:, :-1]
        n_again = int(again.sum())
        if n_again == 0:
            return item
        item[again] = rng.integers(0, size.n_items, n_again, dtype=np.int32)
