"""What the parts of an import hand to one another."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import polars as pl
from sqlalchemy.engine import Connection


class ImportPhase(StrEnum):
    """What an import is doing."""

    READING = "reading"
    STORING = "storing"


@dataclass(frozen=True)
class ImportProgress:
    """How far a phase is: bytes or rows while reading, steps while storing."""

    phase: ImportPhase
    done: int
    total: int


Progress = Callable[[ImportProgress], None]


@dataclass(frozen=True)
class Reject:
    """A row that does not load: where it stands, why, and its fields as they were read."""

    line: int
    reason: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """Some rows of a file: their lines, all columns as text, and the rows that are no rows."""

    lines: pl.Series
    frame: pl.DataFrame
    rejects: tuple[Reject, ...]
    done: int

    @property
    def rows(self) -> int:
        """Rows read, good or not."""
        return self.frame.height + len(self.rejects)


class Source(Protocol):
    """A file of rows that can be read more than once; `total` is in the unit of `Batch.done`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in the header."""

    @property
    def total(self) -> int:
        """How much there is to read."""

    def batches(self, batch_rows: int) -> Iterator[Batch]:
        """Read the file from its beginning, about `batch_rows` rows at a time."""


class Format(Protocol):
    """Which columns of a file mean what, and what is made up for what it does not hold."""

    @property
    def encoding(self) -> str:
        """The encoding of a CSV file that names none."""

    @property
    def has_times(self) -> bool:
        """Whether the file says when an answer was given."""

    def headers(self, columns: tuple[str, ...]) -> dict[str, str]:
        """Return our name → the file's header; raise ImportFileError when a needed one is missing."""

    def items(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return item_id, topic_id, content and meta (JSON) of the rows of a batch."""

    def place(self, connection: Connection) -> tuple[str, ...]:
        """Give every staged answer a time and a session; return notes on how."""


@dataclass(frozen=True)
class ImportSummary:
    """What became of a file's rows.

    `attempts_known` are answers that an earlier import had stored already; `attempts_corrected` of
    them said something new (correct, time, hints or topic) and took it over.
    """

    path: Path
    format: str
    rows_read: int
    rows_rejected: int
    attempts_new: int
    attempts_known: int
    attempts_corrected: int
    learners: int
    items: int
    sessions_new: int
    sessions_changed: int
    sessions_unchanged: int
    questions_new: int
    first_answer: dt.datetime | None
    last_answer: dt.datetime | None
    rejects: Path | None
    notes: tuple[str, ...]

    @property
    def attempts(self) -> int:
        """Answers of the file that the database now holds."""
        return self.attempts_new + self.attempts_known
