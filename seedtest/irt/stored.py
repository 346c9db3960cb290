"""Answers too many for memory: rows of codes in files, read block by block in every pass."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import polars as pl

from seedtest.irt.compiled import available_threads, kernels
from seedtest.irt.ingest import Batch, Ids, read_batches
from seedtest.irt.parameters import Abilities, BoolArray, IndexArray, IntArray
from seedtest.irt.responses import Responses
from seedtest.irt.rows import Rows
from seedtest.irt.scoring import Scorer

DEFAULT_MEMORY_MB = 512
BYTES_PER_ANSWER = 12
"""What sorting a block takes: learner, code, and the sorted code."""

SMALLEST_BLOCK = 1_000


@dataclass(frozen=True, eq=False)
class StoredBlock:
    """Learners `first` … `last` − 1 in two files; items without a new number are left out on reading."""

    folder: Path
    number: int
    first: int
    last: int
    new_item: IndexArray | None = None

    def load(self) -> Rows:
        """Read the block."""
        start = np.fromfile(self.folder / f"{self.number}.start", dtype=np.int64)
        code = np.fromfile(self.folder / f"{self.number}.code", dtype=np.int32)
        if self.new_item is None:
            return Rows(start, code)
        counting = kernels("counting")
        lengths = np.empty(start.size - 1, dtype=np.int64)
        counting.kept_lengths(start, code, self.new_item, lengths)
        kept_start, kept = np.zeros_like(start), np.empty(int(lengths.sum()), dtype=np.int32)
        counting.kept_codes(start, code, self.new_item, np.arange(lengths.size), kept_start, kept)
        return Rows(kept_start, kept)

    def save(self, rows: Rows) -> None:
        """Write the block."""
        rows.start.tofile(self.folder / f"{self.number}.start")
        rows.code.tofile(self.folder / f"{self.number}.code")


@dataclass(frozen=True, eq=False)
class StoredResponses:
    """Answers in files of their own: `calibrate` takes them like `Responses` and reads them in every pass.

    Memory holds a block a thread, the tables over items and nodes, and while the file is read the ids. A
    context: leaving it deletes the files. Learners are in the order of their ids, so the estimates are those
    from memory, up to the order of sums.

    Attributes
    ----------
    item_ids
        Distinct ids, (n_items,).
    n_users
        Learners with an answer.
    n_responses
        Answers.
    folder
        Where the blocks and `users.parquet`, the learners' ids in order, lie.
    stored
        The blocks.
    """

    item_ids: tuple[str, ...]
    n_users: int
    n_responses: int
    folder: Path
    stored: tuple[StoredBlock, ...]

    @classmethod
    def read(
        cls, path: Path, memory_mb: int = DEFAULT_MEMORY_MB, folder: Path | None = None
    ) -> "StoredResponses":
        """Read answers from Parquet or CSV as `ingest.read_responses` does, into a new folder below `folder`.

        Parameters
        ----------
        path
            File with the columns user_id, item_id and correct.
        memory_mb
            Memory for the blocks being worked on, over all threads.
        folder
            Where there is room for 12 bytes an answer (default: the system's folder for temporary files).
        """
        target = Path(tempfile.mkdtemp(prefix="seedtest-answers-", dir=folder))
        try:
            return _Store(target, memory_mb).read(path)
        except BaseException:
            shutil.rmtree(target)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder)

    def __len__(self) -> int:
        return self.n_responses

    @property
    def n_items(self) -> int:
        """Items."""
        return len(self.item_ids)

    def blocks(self, n_parts: int) -> Sequence[StoredBlock]:
        """Return the blocks, however many parts are wished for."""
        del n_parts
        return self.stored

    def select_items(self, keep: BoolArray) -> "StoredResponses":
        """Only the items where `keep`, (n_items,), is true; the files stay as they are."""
        if keep.all():
            return self
        before = self.stored[0].new_item
        numbers = np.where(keep, np.cumsum(keep) - 1, -1).astype(np.int32)
        new_item = numbers if before is None else np.where(before >= 0, numbers[before], -1).astype(np.int32)
        blocks = tuple(replace(block, new_item=new_item) for block in self.stored)
        lengths = [np.diff(block.load().start) for block in blocks]
        return replace(
            self,
            item_ids=tuple(compress(self.item_ids, keep)),
            n_users=sum(int(np.count_nonzero(row)) for row in lengths),
            n_responses=sum(int(row.sum()) for row in lengths),
            stored=blocks,
        )

    def abilities(self, scorer: Scorer) -> Iterator[Abilities]:
        """Score block by block the learners with an answer to these items, which are the scorer's."""
        users = pl.scan_parquet(self.folder / "users.parquet")
        for block in self.stored:
            scores = scorer.rows(block.load())
            ids = users.slice(block.first, block.last - block.first).collect()["user_id"]
            counted = scores.n > 0
            yield Abilities(
                tuple(ids.filter(pl.Series(counted))),
                scores.theta[counted],
                scores.se[counted],
                scores.n[counted],
            )


AnyResponses: TypeAlias = Responses | StoredResponses


class _Store:
    """Writes a folder of blocks in three passes: as they come, by block, by learner."""

    def __init__(self, folder: Path, memory_mb: int) -> None:
        self._folder = folder
        share = memory_mb * 1_000_000 // (BYTES_PER_ANSWER * available_threads())
        self._answers_per_block = max(share, SMALLEST_BLOCK)
        self._users, self._items = Ids(), Ids()

    def read(self, path: Path) -> StoredResponses:
        sizes = self._spool(path)
        user_ids, user_rank = self._users.ranks()
        item_ids, item_rank = self._items.ranks()
        pl.DataFrame({"user_id": user_ids}).write_parquet(self._folder / "users.parquet")
        blocks = self._divide(sizes, user_rank, item_rank)
        for block in blocks:
            self._sort(block)
        return StoredResponses(
            tuple(item_ids.to_list()), user_rank.size, sum(sizes), self._folder, tuple(blocks)
        )

    def _spool(self, path: Path) -> list[int]:
        """Write answers as they come; return the sizes of the batches."""
        sizes = []
        with (self._folder / "spool").open("wb") as spool:
            for batch in read_batches(path, self._users, self._items):
                batch.user.tofile(spool)
                batch.code.tofile(spool)
                sizes.append(batch.user.size)
        return sizes

    def _spooled(self, sizes: list[int]) -> Iterator[Batch]:
        with (self._folder / "spool").open("rb") as spool:
            for size in sizes:
                yield Batch(np.fromfile(spool, np.int32, size), np.fromfile(spool, np.int32, size))

    def _divide(self, sizes: list[int], user_rank: IndexArray, item_rank: IndexArray) -> list[StoredBlock]:
        """Distribute the spool among blocks of learners in order; return the blocks, still unsorted."""
        counting = kernels("counting")
        lengths = np.zeros(user_rank.size + 1, dtype=np.int64)
        for batch in self._spooled(sizes):
            counting.add_lengths(user_rank[batch.user], lengths)
        ends = np.cumsum(lengths[1:])
        block_of = (ends - 1) // self._answers_per_block if ends.size else ends
        _, firsts = np.unique(block_of, return_index=True)
        blocks = [
            StoredBlock(self._folder, number, int(first), int(last))
            for number, (first, last) in enumerate(pairwise([*firsts, ends.size]))
        ]
        number_of = np.repeat(
            np.arange(len(blocks), dtype=np.int32), [block.last - block.first for block in blocks]
        )
        for batch in self._spooled(sizes):
            counting.rename(batch.user, batch.code, user_rank, item_rank)
            self._append(batch, number_of, len(blocks))
        (self._folder / "spool").unlink()
        return blocks

    def _append(self, batch: Batch, number_of: IndexArray, n_blocks: int) -> None:
        pairs = np.stack([batch.user, batch.code], axis=1)
        numbers = number_of[batch.user].astype(np.int16 if n_blocks < 2**15 else np.int32)
        ordered = pairs[np.argsort(numbers, kind="stable")]
        bounds = np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=n_blocks))])
        for number, (first, last) in enumerate(pairwise(bounds.tolist())):
            with (self._folder / f"{number}.pairs").open("ab") as file:
                ordered[first:last].tofile(file)

    def _sort(self, block: StoredBlock) -> None:
        file = self._folder / f"{block.number}.pairs"
        pairs = np.fromfile(file, dtype=np.int32).reshape(-1, 2)
        file.unlink()
        start, code = _rows(pairs, block)
        block.save(Rows(start, code))


def _rows(pairs: IndexArray, block: StoredBlock) -> tuple[IntArray, IndexArray]:
    counting = kernels("counting")
    user = np.ascontiguousarray(pairs[:, 0]) - np.int32(block.first)
    start = np.zeros(block.last - block.first + 1, dtype=np.int64)
    counting.add_lengths(user, start)
    np.cumsum(start, out=start)
    code = np.empty(user.size, dtype=np.int32)
    counting.place(user, np.ascontiguousarray(pairs[:, 1]), start[:-1].copy(), code)
    counting.sort_rows(start, code, 0, start.size - 1)
    return start, code
