"""Answers too many for memory: rows of codes in files, read block by block in every pass."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import polars as pl

from seedtest.errors import DataError
from seedtest.irt.blocks import StoredBlock
from seedtest.irt.ingest import OnRead
from seedtest.irt.parameters import Abilities, BoolArray
from seedtest.irt.responses import Responses
from seedtest.irt.scoring import Scorer
from seedtest.irt.spool import USERS, store

DEFAULT_MEMORY_MB = 512


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
        cls,
        path: Path,
        memory_mb: int = DEFAULT_MEMORY_MB,
        folder: Path | None = None,
        on_read: OnRead | None = None,
    ) -> "StoredResponses":
        """Read answers from Parquet or CSV as `ingest.read_responses` does, into a new folder below `folder`.

        Parameters
        ----------
        path
            File with the columns user_id, item_id and correct.
        memory_mb
            Memory for the blocks being worked on, over all threads, and for the rows being read.
        folder
            Where there is room for 16 bytes an answer (default: the system's folder for temporary files).
        on_read
            Called after every batch that was read.

        Raises
        ------
        DataError
            As `ingest.read_responses`, and where the folder cannot hold the answers.
        """
        try:
            target = Path(tempfile.mkdtemp(prefix="seedtest-answers-", dir=folder))
            try:
                parts = store(path, target, memory_mb, on_read)
            except BaseException:
                shutil.rmtree(target)
                raise
        except OSError as error:
            raise DataError(
                f"The answers in {path} cannot be kept in {folder or tempfile.gettempdir()}: {error}. "
                "It needs room for 16 bytes an answer; TMPDIR names another folder."
            ) from error
        return cls(parts.item_ids, parts.n_users, parts.n_responses, target, parts.blocks)

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
        users = pl.scan_parquet(self.folder / USERS)
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
