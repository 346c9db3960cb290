"""Answers as rows of codes, one row a learner, and their division among threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, Self, TypeVar

import numpy as np

from seedtest.irt.compiled import available_threads, kernels
from seedtest.irt.parameters import BoolArray, IndexArray, IntArray

Part = TypeVar("Part")

ANSWERS_PER_THREAD = 50_000
"""Fewer answers than this are not worth a thread."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Some learners' answers: `start` and `code` as in `Responses`, `start` counting within `code`."""

    start: IntArray
    code: IndexArray


class Block(Protocol):
    """A part of the learners, held in memory or read when it is needed."""

    def load(self) -> Rows:
        """Return the part's answers."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Learners `first` … `last` − 1 of answers in memory."""

    rows: Rows
    first: int
    last: int

    def load(self) -> Rows:
        """Return a view of the learners' rows."""
        return Rows(self.rows.start[self.first : self.last + 1], self.rows.code)


def cut(rows: Rows, n_parts: int) -> tuple[Slice, ...]:
    """Cut learners into parts with about equally many answers."""
    wanted = np.linspace(0, rows.code.size, n_parts + 1)[1:-1]
    inner = np.searchsorted(rows.start, wanted)
    bounds = [0, *inner.tolist(), rows.start.size - 1]
    return tuple(Slice(rows, first, last) for first, last in pairwise(bounds))


class Answers(Protocol):
    """Answers of learners to items, wherever they are kept."""

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Distinct ids, (n_items,)."""

    @property
    def n_users(self) -> int:
        """Learners."""

    @property
    def n_items(self) -> int:
        """Items."""

    def __len__(self) -> int: ...

    def blocks(self, n_parts: int) -> Sequence[Block]:
        """Return the answers in about as many parts as threads."""

    def select_items(self, keep: BoolArray) -> Self:
        """Only the items where `keep`, (n_items,), is true."""


def item_counts(answers: Answers) -> IntArray:
    """Count wrong and right answers of each item, (n_items, 2)."""
    counts = np.zeros(2 * answers.n_items, dtype=np.int64)
    for block in answers.blocks(1):
        rows = block.load()
        kernels("counting").item_counts(rows.code[rows.start[0] : rows.start[-1]], counts)
    return counts.reshape(-1, 2)


def repeated_answers(answers: Answers) -> int:
    """Count answers of a learner to an item that the learner has another, earlier counted answer to."""
    count = 0
    for block in answers.blocks(max(len(answers) // ANSWERS_PER_THREAD, 1)):
        rows = block.load()
        item = rows.code[rows.start[0] : rows.start[-1]] >> 1
        again = item[1:] == item[:-1]
        # Where a row begins, the item before is another learner's.
        inner = rows.start[(rows.start > rows.start[0]) & (rows.start < rows.start[-1])] - rows.start[0]
        again[inner - 1] = False
        count += int(np.count_nonzero(again))
    return count


def threads_for(n_answers: int, wanted: int | None = None) -> int:
    """How many threads a sweep over so many answers is given."""
    most = available_threads() if wanted is None else wanted
    return int(np.clip(n_answers // ANSWERS_PER_THREAD, 1, most))


def in_threads(work: Callable[[Part], None], parts: Sequence[Part]) -> None:
    """Run work(part) on each part, in a thread of its own where there are several."""
    if len(parts) == 1:
        work(parts[0])
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, parts))
