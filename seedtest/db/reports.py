"""Which reports are stored, and what each was rendered from."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from seedtest.db.schema import ReportArtifact, ReportRender

KNOWN = """
SELECT a.user_id, a.format, a.url, r.content_hash
FROM report_artifacts AS a JOIN report_render AS r USING (user_id, week_start, format)
WHERE a.week_start = :week_start AND a.user_id = ANY(CAST(:user_ids AS text[]))
"""
COVERAGE = """
SELECT format, count(*) AS n, coalesce(sum(file_size_bytes), 0) AS size_bytes
FROM report_artifacts WHERE week_start = :week_start GROUP BY format ORDER BY format
"""


@dataclass(frozen=True)
class StoredReport:
    """A report that lies in the bucket."""

    user_id: str
    week_start: dt.date
    format: str
    url: str
    size_bytes: int
    content_hash: str
    language: str


@dataclass(frozen=True)
class Coverage:
    """How many reports of a week are stored in a format, and their size."""

    format: str
    n_reports: int
    size_bytes: int


def load_stored(
    connection: Connection, week_start: dt.date, user_ids: Sequence[str]
) -> dict[tuple[str, str, str], str]:
    """Return the content's hash of each stored report by learner, format and address."""
    rows = connection.execute(sa.text(KNOWN), {"week_start": week_start, "user_ids": list(user_ids)})
    return {(row.user_id, row.format, row.url): row.content_hash for row in rows}


def write_stored(connection: Connection, reports: Sequence[StoredReport]) -> None:
    """Record reports that have been uploaded; one that was there before is replaced."""
    if not reports:
        return
    _upsert(
        connection,
        ReportArtifact,
        [
            {
                "user_id": report.user_id,
                "week_start": report.week_start,
                "format": report.format,
                "url": report.url,
                "file_size_bytes": report.size_bytes,
            }
            for report in reports
        ],
        stamp="generated_at",
    )
    _upsert(
        connection,
        ReportRender,
        [
            {
                "user_id": report.user_id,
                "week_start": report.week_start,
                "format": report.format,
                "content_hash": report.content_hash,
                "language": report.language,
            }
            for report in reports
        ],
        stamp="rendered_at",
    )


def load_coverage(connection: Connection, week_start: dt.date) -> tuple[Coverage, ...]:
    """Return what is stored of a week, by format."""
    rows = connection.execute(sa.text(COVERAGE), {"week_start": week_start})
    return tuple(Coverage(row.format, row.n, int(row.size_bytes)) for row in rows)


def _upsert(
    connection: Connection,
    table: type[ReportArtifact | ReportRender],
    rows: Sequence[dict[str, object]],
    *,
    stamp: str,
) -> None:
    key = ("user_id", "week_start", "format")
    statement = insert(table).values(list(rows))
    replaced = {name: statement.excluded[name] for name in rows[0] if name not in key}
    connection.execute(
        statement.on_conflict_do_update(index_elements=key, set_=replaced | {stamp: sa.func.now()})
    )
