"""Making the reports of some learners: assemble, render what is out of date, upload, record.

A row of report_artifacts is written after the upload it points to has succeeded, learner by learner, so
whatever ends a run leaves no row without its object, and the next run goes on from there.
"""

import datetime as dt
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from sqlalchemy.engine import Engine

from reports.assembly import Assembled, assemble
from reports.bucket import ReportBucket
from reports.content_hash import content_hash
from reports.model import WeeklyReport
from reports.rendering import Format, RenderedReport, render, template_digest
from seedtest.db.reports import StoredReport, load_stored, write_stored
from seedtest.errors import ReportError
from seedtest.failures import UserFailure
from seedtest.report_keys import report_key
from seedtest.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What is wanted: reports of a week in some formats, for some learners."""

    week_start: dt.date
    user_ids: tuple[str, ...]
    formats: tuple[Format, ...]
    # Render also what is up to date.
    force: bool = False
    # Render, but neither upload nor record.
    dry_run: bool = False

    def of(self, user_ids: tuple[str, ...]) -> "Order":
        """Return the same order for other learners."""
        return replace(self, user_ids=user_ids)


@dataclass(frozen=True)
class MadeReport:
    """One learner's report, made in this run."""

    user_id: str
    format: Format
    size_bytes: int
    seconds: float


@dataclass
class Seconds:
    """What the time went into."""

    assembling: float = 0.0
    rendering: float = 0.0
    uploading: float = 0.0
    recording: float = 0.0

    @contextmanager
    def spent(self, stage: str) -> Iterator[None]:
        """Count the time in between towards a stage."""
        begun = time.monotonic()
        try:
            yield
        finally:
            setattr(self, stage, getattr(self, stage) + time.monotonic() - begun)

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(
            self.assembling + other.assembling,
            self.rendering + other.rendering,
            self.uploading + other.uploading,
            self.recording + other.recording,
        )


@dataclass
class Made:
    """What came of an order."""

    reports: list[MadeReport] = field(default_factory=list)
    n_unchanged: int = 0
    # Rendered anew, but the very content lay in the bucket already.
    n_already_there: int = 0
    failures: list[UserFailure] = field(default_factory=list)
    without_kpis: list[str] = field(default_factory=list)
    seconds: Seconds = field(default_factory=Seconds)

    def add(self, other: "Made") -> None:
        """Take another order's result in."""
        self.reports += other.reports
        self.n_unchanged += other.n_unchanged
        self.n_already_there += other.n_already_there
        self.failures += other.failures
        self.without_kpis += other.without_kpis
        self.seconds += other.seconds


def make_reports(engine: Engine, bucket: ReportBucket, order: Order, settings: Settings) -> Made:
    """Make the reports of an order; a learner whose report fails is in `failures`, and stops nobody else.

    Raises
    ------
    StorageError
        The object store cannot be used; what was stored before is recorded.
    """
    return _Making(engine, bucket, order, settings).run()


class _Making:
    """One order in work."""

    def __init__(self, engine: Engine, bucket: ReportBucket, order: Order, settings: Settings) -> None:
        self._engine, self._bucket, self._order, self._settings = engine, bucket, order, settings
        self._made = Made()

    def run(self) -> Made:
        with self._made.seconds.spent("assembling"):
            assembled, stored = self._read()
        self._made.failures += assembled.failures
        self._made.without_kpis += assembled.without_kpis
        for report in assembled.reports:
            hashes = {each: self._hash(report, each) for each in self._order.formats}
            stale = [each for each in self._order.formats if self._is_stale(report, each, hashes, stored)]
            self._made.n_unchanged += len(hashes) - len(stale)
            if stale:
                self._make(report, {each: hashes[each] for each in stale})
        return self._made

    def _read(self) -> tuple[Assembled, dict[tuple[str, str, str], str]]:
        with self._engine.execution_options(isolation_level="REPEATABLE READ").begin() as connection:
            order = self._order
            assembled = assemble(connection, order.week_start, order.user_ids, self._settings)
            return assembled, load_stored(connection, order.week_start, order.user_ids)

    def _hash(self, report: WeeklyReport, wanted: Format) -> str:
        digest = template_digest(self._settings.report_renderer)
        return content_hash(report, template_digest=digest, format=wanted.value)

    def _is_stale(
        self,
        report: WeeklyReport,
        wanted: Format,
        hashes: dict[Format, str],
        stored: dict[tuple[str, str, str], str],
    ) -> bool:
        where = self._bucket.url(report_key(report.user_id, report.week_start, wanted))
        known = stored.get((report.user_id, wanted.value, where))
        return self._order.force or known != hashes[wanted]

    def _make(self, report: WeeklyReport, hashes: dict[Format, str]) -> None:
        """Render one learner's report, then upload and record it."""
        begun = time.monotonic()
        try:
            with self._made.seconds.spent("rendering"):
                rendered = render(report, tuple(hashes), self._settings.report_renderer)
        except ReportError as error:
            self._made.failures.append(UserFailure(report.user_id, str(error)))
            logger.warning("Report of %r, week %s: %s", report.user_id, report.week_start, error)
            return
        if not self._order.dry_run:
            self._store(report, rendered, hashes)
        seconds = (time.monotonic() - begun) / len(rendered)
        self._made.reports += [
            MadeReport(report.user_id, each.format, len(each.content), seconds) for each in rendered
        ]

    def _store(self, report: WeeklyReport, rendered: list[RenderedReport], hashes: dict[Format, str]) -> None:
        stored = []
        for each in rendered:
            key = report_key(report.user_id, report.week_start, each.format)
            content_hash = hashes[each.format]
            with self._made.seconds.spent("uploading"):
                sent = self._bucket.put(
                    key, each.content, each.format.content_type, content_hash, force=self._order.force
                )
            self._made.n_already_there += not sent
            stored.append(
                StoredReport(
                    user_id=report.user_id,
                    week_start=report.week_start,
                    format=each.format,
                    url=self._bucket.url(key),
                    size_bytes=len(each.content),
                    content_hash=content_hash,
                    language=report.language,
                )
            )
        with self._made.seconds.spent("recording"), self._engine.begin() as connection:
            write_stored(connection, stored)
