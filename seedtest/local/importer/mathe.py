"""The `mathe` format: answers of the MathE platform, which carry no times.

Source: "Dataset for Assessing Mathematics Learning in Higher Education", UCI Machine Learning
Repository, 2024 (CC BY 4.0).
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.errors import ImportFileError
from seedtest.local.importer.formats import require_headers
from seedtest.local.importer.parse import CONTROL_CHARACTER, words
from seedtest.local.importer.staging import SOURCE

ANSWER = {"user_id": "Student ID", "item_id": "Question ID", "correct": "Type of Answer", "topic_id": "Topic"}
ITEM = {"level": "Question Level", "subtopic": "Subtopic", "keywords": "Keywords"}
MAX_DAYS = 3660

# A day's first answer, the step to the next, and the time a day has for all of them: a learner with
# more answers a day than fit gets a shorter step rather than answers of the day after.
FIRST_HOUR = 10
STEP_SECS = 120
DAY_SECS = (24 - FIRST_HOUR) * 3600

PLACE = f"""
UPDATE stage_answer AS s SET completed_at = p.completed_at, session_id = p.session_id
FROM (
    SELECT
        line,
        'mathe-' || user_id || '-' || to_char(day, 'YYYY-MM-DD') AS session_id,
        (day + time '{FIRST_HOUR}:00') AT TIME ZONE 'UTC'
            + interval '1 second' * least({STEP_SECS}, {DAY_SECS}.0 / count(*) OVER a_day)
            * (row_number() OVER (a_day ORDER BY line) - 1) AS completed_at
    FROM (
        SELECT
            line,
            user_id,
            CAST(:start AS date) + ((row_number() OVER (learner ORDER BY line) - 1) * :days
                / count(*) OVER learner)::int AS day
        FROM stage_answer
        WINDOW learner AS (PARTITION BY user_id)
    ) AS spread
    WINDOW a_day AS (PARTITION BY user_id, day)
) AS p
WHERE p.line = s.line
"""

COUNT_OTHERS = """
SELECT count(*) FROM exam_results
WHERE result_json ->> 'source' = :source AND session_id LIKE 'mathe-%'
    AND session_id NOT IN (SELECT session_id FROM stage_answer)
"""


@dataclass(frozen=True)
class MatheFormat:
    """Spreads each learner's answers in file order over `days` days from `start`."""

    path: Path
    start: dt.date
    days: int
    encoding: str = "windows-1252"
    has_times: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.days <= MAX_DAYS:
            raise ImportFileError(f"--days is {self.days}; it must be from 1 to {MAX_DAYS}.")

    def headers(self, columns: tuple[str, ...]) -> dict[str, str]:
        """Return our name → the platform's header; all are needed."""
        require_headers(
            self.path, columns, ANSWER | ITEM, "Is this the MathE file? Else use --format attempts."
        )
        return ANSWER | ITEM

    def items(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Describe an item by its keywords; level, subtopic and keywords go into meta."""
        # JSON in PostgreSQL cannot hold NUL, and no description needs a control character.
        described = frame.with_columns(pl.col(*ITEM).str.replace_all(CONTROL_CHARACTER, " "))
        return described.select(
            "item_id",
            "topic_id",
            pl.coalesce("keywords", words("Imported item ", pl.col("item_id"))).alias("content"),
            pl.struct(*ITEM, pl.lit("mathe").alias("source")).struct.json_encode().alias("meta"),
        )

    def place(self, connection: Connection) -> tuple[str, ...]:
        """Make up the times, one session a learner and day, and say so."""
        connection.execute(sa.text(PLACE), {"start": self.start, "days": self.days})
        others = connection.scalar(sa.text(COUNT_OTHERS), {"source": SOURCE})
        end = self.start + dt.timedelta(days=self.days - 1)
        note = (
            "The file has no times. They are made up: each learner's answers are spread in file order over "
            f"the {self.days} days from {self.start} to {end}, each day from {FIRST_HOUR}:00 UTC every "
            f"{STEP_SECS // 60} minutes, one session a learner and day."
        )
        if not others:
            return (note,)
        return (
            note,
            f"{others:,} sessions of an import over other days are in the database and stay beside these.",
        )
