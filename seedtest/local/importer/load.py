"""An import from file to database: read, check, stage by COPY, store; all in one transaction."""

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl
from sqlalchemy.engine import Connection, Engine

from seedtest.db.frames import copy_rows, read_frame
from seedtest.db.locks import stage_lock
from seedtest.errors import ImportFileError
from seedtest.local.importer.csv_records import UNDECODABLE
from seedtest.local.importer.formats import AttemptsFormat
from seedtest.local.importer.mathe import MatheFormat
from seedtest.local.importer.merge import Stored, store
from seedtest.local.importer.model import (
    Batch,
    Format,
    ImportPhase,
    ImportProgress,
    ImportSummary,
    Progress,
    Source,
)
from seedtest.local.importer.parse import check, tidy
from seedtest.local.importer.rejects import RejectsFile, default_rejects_path, rejected_rows
from seedtest.local.importer.sessions import note_long_sessions, set_conflicts_aside
from seedtest.local.importer.source import open_source
from seedtest.local.importer.staging import analyze_stage, create_stage
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

FormatName = Literal["attempts", "mathe"]
LOCK = "import"
BATCH_ROWS = 50_000


def import_file(  # noqa: PLR0913 (one keyword for each option of `seedtest import`)
    engine: Engine,
    path: Path,
    *,
    format: FormatName = "attempts",
    mapping: Mapping[str, str] | None = None,
    start: dt.date | None = None,
    days: int | None = None,
    encoding: str | None = None,
    rejects: Path | None = None,
    progress: Progress | None = None,
    batch_rows: int = BATCH_ROWS,
) -> ImportSummary:
    """Import a CSV or Parquet file of answers into exam_results and question.

    Good rows load, bad ones go to the rejects file. A failure in the middle leaves the database as it
    was. The same file again changes nothing; a file with more answers of a session adds them to it.

    Parameters
    ----------
    mapping
        Our column name → the file's header, where they differ (attempts only).
    start, days
        First day and number of days over which answers without times are spread (mathe only).
    rejects
        Where rejected rows go; default: the folder `rejects` in SEEDTEST_HOME.

    Raises
    ------
    ImportFileError
        The file cannot be read at all or lacks a needed column.
    LockTimeoutError
        Another import is running.
    """
    settings = Settings()
    chosen = _format(path, format, mapping or {}, start, days)
    source = open_source(path, encoding, chosen.encoding)
    target = rejects or default_rejects_path(settings.home, path)
    with (
        stage_lock(engine, LOCK, wait_secs=settings.lock_wait_secs),
        RejectsFile(target, source.columns) as rejected,
    ):
        run = _Import(
            source, chosen, chosen.headers(source.columns), rejected, progress or _silent, batch_rows
        )
        with engine.begin() as connection:
            stored = run.into(connection)
        summary = run.summary(path, format, stored, rejected.keep())
    logger.info(
        "Imported %s: %d new answers, %d known, %d rows rejected",
        path.name,
        summary.attempts_new,
        summary.attempts_known,
        summary.rows_rejected,
    )
    return summary


def _format(
    path: Path, name: FormatName, mapping: Mapping[str, str], start: dt.date | None, days: int | None
) -> Format:
    if name == "attempts":
        if start is not None or days is not None:
            raise ImportFileError(
                "--start and --days belong to --format mathe; attempts carry their own times."
            )
        return AttemptsFormat(path, mapping)
    if name != "mathe":
        raise ImportFileError(f"There is no format {name!r}. Use attempts or mathe.")
    if mapping:
        raise ImportFileError("--map belongs to --format attempts; the headers of mathe are known.")
    if start is None or days is None:
        raise ImportFileError(
            "The mathe format has no times: say over which days to spread the answers, "
            "such as --start 2026-09-01 --days 60."
        )
    return MatheFormat(path, start, days)


def _silent(_: ImportProgress) -> None:
    """Show nothing."""


@dataclass
class _Import:
    """One run over a file, and what it has counted so far."""

    source: Source
    format: Format
    headers: dict[str, str]
    rejected: RejectsFile
    progress: Progress
    batch_rows: int
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    rows_read: int = 0
    n_without_offset: int = 0
    n_ahead: int = 0
    n_undecodable: int = 0
    notes: list[str] = field(default_factory=list)

    def into(self, connection: Connection) -> Stored:
        """Read everything into staging tables, then store it."""
        create_stage(connection)
        for batch in self.source.batches(self.batch_rows):
            self._stage(connection, batch)
            self.progress(ImportProgress(ImportPhase.READING, batch.done, self.source.total))
        self.progress(ImportProgress(ImportPhase.STORING, 0, 2))
        analyze_stage(connection)
        self.notes += self.format.place(connection)
        set_conflicts_aside(connection)
        self._reject_conflicts(connection)
        self.notes += note_long_sessions(connection)
        self.progress(ImportProgress(ImportPhase.STORING, 1, 2))
        stored = store(connection)
        self.progress(ImportProgress(ImportPhase.STORING, 2, 2))
        return stored

    def _stage(self, connection: Connection, batch: Batch) -> None:
        """Check a batch and copy its good rows."""
        self.rows_read += batch.rows
        self.n_undecodable += sum(reject.reason == UNDECODABLE for reject in batch.rejects)
        rows = tidy(batch.frame, self.headers)
        checked = check(rows, self.now, has_times=self.format.has_times)
        bad = [*batch.rejects, *rejected_rows(batch, checked.reasons)]
        self.rejected.add(sorted(bad, key=lambda reject: reject.line))
        self.n_without_offset += checked.n_without_offset
        self.n_ahead += checked.n_ahead
        is_good = checked.reasons.is_null()
        lines = batch.lines.filter(is_good)
        copy_rows(connection, "stage_answer", checked.answers.insert_column(0, lines))
        items = self.format.items(rows.filter(is_good)).insert_column(0, lines)
        copy_rows(connection, "stage_item", items.unique(["item_id", "topic_id"], keep="first"))

    def _reject_conflicts(self, connection: Connection) -> None:
        """Read the file again up to the last row whose session is not its own, for the rows as they were."""
        schema = {"line": pl.Int64, "reason": pl.String}
        conflicts = read_frame(connection, "SELECT line, reason FROM stage_conflict", schema)
        last = conflicts["line"].max()
        if conflicts.is_empty():
            return
        for batch in self.source.batches(self.batch_rows):
            reasons = batch.lines.to_frame("line").join(
                conflicts, on="line", how="left", maintain_order="left"
            )
            self.rejected.add(rejected_rows(batch, reasons["reason"]))
            if not batch.lines.is_empty() and batch.lines[-1] >= last:
                return

    def summary(self, path: Path, name: str, stored: Stored, rejects: Path | None) -> ImportSummary:
        """Put together what the file held and what the database did."""
        return ImportSummary(
            path=path,
            format=name,
            rows_read=self.rows_read,
            rows_rejected=self.rejected.count,
            rejects=rejects,
            notes=(*self.notes, *self._row_notes()),
            **vars(stored),
        )

    def _row_notes(self) -> list[str]:
        notes = {
            f"{self.n_without_offset:,} times name no offset; they are taken as UTC.": self.n_without_offset,
            f"{self.n_ahead:,} answers are dated after now.": self.n_ahead,
            f"{self.n_undecodable:,} rows are not text in the file's encoding; "
            "a file from Windows may need --encoding windows-1252.": self.n_undecodable,
        }
        return [text for text, count in notes.items() if count]
