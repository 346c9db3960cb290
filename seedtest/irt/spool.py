"""From a file of answers to sorted blocks, with memory for a few blocks (an external distribution sort)."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from seedtest.irt.ahead import in_order
from seedtest.irt.blocks import StoredBlock
from seedtest.irt.compiled import available_threads, kernels
from seedtest.irt.ingest import ROWS_PER_BATCH, Batch, Ids, OnRead, read_batches
from seedtest.irt.parameters import IndexArray, IntArray
from seedtest.irt.rows import threads_for

BYTES_PER_ANSWER = 12
"""What sorting a block takes: learner, code, and the sorted code."""

BYTES_PER_ROW_READ = 250
"""What a row of a file takes on reading: two ids as text, their numbers, and as much read ahead."""

SMALLEST_BLOCK, SMALLEST_BATCH = 1_000, 50_000
USERS = "users.parquet"


@dataclass(frozen=True, eq=False)
class Stored:
    """What lies in a folder after `store`: items and learners in the order of their ids, and the blocks."""

    item_ids: tuple[str, ...]
    n_users: int
    n_responses: int
    blocks: tuple[StoredBlock, ...]


def store(path: Path, folder: Path, memory_mb: int, on_read: OnRead | None = None) -> Stored:
    """Read answers as `ingest.read_responses` does; leave them in a folder, sorted, in blocks of learners.

    Three passes: as they come, by block, by learner. The folder has 16 bytes an answer at the most and 4 in
    the end; `users.parquet` in it holds the learners' ids in order.
    """
    users, items = Ids(), Ids()
    rows = int(np.clip(memory_mb * 1_000_000 // BYTES_PER_ROW_READ, SMALLEST_BATCH, ROWS_PER_BATCH))
    spool = _Spool(folder / "spool")
    spool.fill(read_batches(path, users, items, rows_per_batch=rows, on_read=on_read))
    user_ids, user_rank = users.ranks()
    item_ids, item_rank = items.ranks()
    pl.DataFrame({"user_id": user_ids}).write_parquet(folder / USERS)
    # The ids take more memory than all that follows.
    del users, items, user_ids
    lengths = np.empty(user_rank.size, dtype=np.int64)
    lengths[user_rank] = spool.lengths(user_rank.size)
    blocks = _blocks(folder, lengths, memory_mb)
    _distribute(spool, blocks, user_rank, item_rank)
    spool.file.unlink()
    with ThreadPoolExecutor(threads_for(spool.n_answers)) as pool:
        list(pool.map(StoredBlock.sort, blocks))
    return Stored(tuple(item_ids.to_list()), user_rank.size, spool.n_answers, blocks)


class _Spool:
    """Answers as they come, in one file: batch after batch, learners and then codes."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._sizes: list[int] = []
        self._counts: IntArray = np.zeros(1, dtype=np.int64)

    @property
    def n_answers(self) -> int:
        return sum(self._sizes)

    def lengths(self, n_users: int) -> IntArray:
        """Return the number of answers of each learner, (n_users,)."""
        return self._counts[1 : n_users + 1]

    def fill(self, batches: Iterator[Batch]) -> None:
        with self.file.open("wb") as end:
            for batch in batches:
                batch.user.tofile(end)
                batch.code.tofile(end)
                self._sizes.append(batch.user.size)
                self._count(batch.user)

    def batches(self) -> Iterator[Batch]:
        with self.file.open("rb") as start:
            for size in self._sizes:
                yield Batch(np.fromfile(start, np.int32, size), np.fromfile(start, np.int32, size))

    def _count(self, user: IndexArray) -> None:
        needed = int(user.max(initial=-1)) + 2
        if needed > self._counts.size:
            self._counts = np.concatenate([self._counts, np.zeros(needed, dtype=np.int64)])
        kernels("counting").add_lengths(user, self._counts)


def _blocks(folder: Path, lengths: IntArray, memory_mb: int) -> tuple[StoredBlock, ...]:
    """Cut learners, in order, into blocks with about equally many answers, as many for every thread."""
    n_answers = int(lengths.sum())
    fitting = max(memory_mb * 1_000_000 // (BYTES_PER_ANSWER * available_threads()), SMALLEST_BLOCK)
    n_threads = threads_for(n_answers)
    n_blocks = n_threads * max(-(-n_answers // (fitting * n_threads)), 1)
    start = np.concatenate([[0], np.cumsum(lengths)])
    inner = np.searchsorted(start, np.linspace(0, n_answers, n_blocks + 1)[1:-1])
    bounds = np.unique([0, *inner, lengths.size]).tolist()
    return tuple(
        StoredBlock(folder, number, first, last) for number, (first, last) in enumerate(pairwise(bounds))
    )


def _distribute(
    spool: _Spool, blocks: Sequence[StoredBlock], user_rank: IndexArray, item_rank: IndexArray
) -> None:
    """Give every answer its learner's and item's rank, and put it into its learner's block."""
    sizes = [block.last - block.first for block in blocks]
    number_of = np.repeat(np.arange(len(blocks), dtype=np.int32), sizes)

    def ordered(batch: Batch) -> tuple[Batch, IntArray]:
        """Order a batch by block; return it with where each block's answers start."""
        counting = kernels("counting")
        counting.rename(batch.user, batch.code, user_rank, item_rank)
        number = number_of[batch.user]
        start = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(blocks)))])
        by_block = Batch(np.empty_like(batch.user), np.empty_like(batch.code))
        counting.place(number, batch.user, start[:-1].copy(), by_block.user)
        counting.place(number, batch.code, start[:-1].copy(), by_block.code)
        return by_block, start

    jobs = (partial(ordered, batch) for batch in spool.batches())
    for batch, start in in_order(jobs, available_threads()):
        for block, (first, last) in zip(blocks, pairwise(start.tolist()), strict=True):
            block.add(batch.user[first:last], batch.code[first:last])
