"""Bulk reads of answers, and the count of what the attempt view leaves out."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.frames import read_frame
from seedtest.windows import ANSWER_ORDER, ATTEMPTS, first_day


@dataclass(frozen=True)
class Scope:
    """Which answers: whole UTC days, both inclusive, and optionally one topic or exam."""

    first_day: dt.date
    last_day: dt.date
    topic_id: str | None = None
    exam_id: int | None = None

    @property
    def start(self) -> dt.datetime:
        """The first moment in scope."""
        return dt.datetime.combine(self.first_day, dt.time(), dt.UTC)

    @property
    def end(self) -> dt.datetime:
        """The first moment after it."""
        return dt.datetime.combine(self.last_day + dt.timedelta(days=1), dt.time(), dt.UTC)

    def cut(self, into: int) -> "list[Scope]":
        """Return at most `into` scopes of about as many days that are this one together, the oldest first."""
        n_days = (self.last_day - self.first_day).days + 1
        parts = min(into, n_days)
        starts = [self.first_day + dt.timedelta(days=n_days * part // parts) for part in range(parts)]
        ends = [start - dt.timedelta(days=1) for start in starts[1:]] + [self.last_day]
        return [
            replace(self, first_day=first, last_day=last) for first, last in zip(starts, ends, strict=True)
        ]

    @property
    def is_partial(self) -> bool:
        """Whether a topic or an exam leaves other answers of these days out."""
        return self.topic_id is not None or self.exam_id is not None

    @property
    def parameters(self) -> dict[str, Any]:
        """The bound values of `condition`."""
        return {
            "start": self.start,
            "end": self.end,
            "topic_id": self.topic_id,
            "exam_id": self.exam_id,
        }

    @property
    def condition(self) -> str:
        """SQL over attempt_base."""
        terms = ["completed_at >= %(start)s", "completed_at < %(end)s"]
        terms += ["topic_id = %(topic_id)s"] if self.topic_id is not None else []
        terms += ["exam_id = %(exam_id)s"] if self.exam_id is not None else []
        return " AND ".join(terms)


def last_days(last_day: dt.date, days: int) -> Scope:
    """Return the scope of `days` whole days that ends with `last_day`."""
    return Scope(first_day(last_day, days), last_day)


def load_attempts(connection: Connection, scope: Scope, *, newest: int | None = None) -> pl.DataFrame:
    """Return the answers in scope with the schema `ATTEMPTS`, sorted; at most the `newest` ones."""
    columns = ", ".join(ATTEMPTS)
    query = f"SELECT {columns} FROM attempt_base WHERE {scope.condition}"
    if newest is not None:
        query += f" ORDER BY completed_at DESC, result_id DESC, ordinal DESC LIMIT {int(newest)}"
    frame = read_frame(connection, query, ATTEMPTS, scope.parameters)
    return frame.sort("user_id", *ANSWER_ORDER)


def count_attempts(connection: Connection, scope: Scope) -> int:
    """Return how many answers are in scope."""
    query = f"SELECT count(*) AS n FROM attempt_base WHERE {scope.condition}"
    return int(read_frame(connection, query, {"n": pl.Int64}, scope.parameters).item())


LEFT_OUT_REASONS = (
    "results without a user_id",
    "results with status failed",
    "results whose questions are no list",
    "answers without a question_id",
)
LEFT_OUT = """
SELECT
    count(*) FILTER (WHERE coalesce(user_id, '') = ''),
    count(*) FILTER (WHERE user_id <> '' AND status = 'failed'),
    count(*) FILTER (WHERE is_read AND n_elements IS NULL),
    coalesce(sum(n_elements - n_usable) FILTER (WHERE is_read), 0)
FROM (
    SELECT
        user_id,
        status,
        user_id <> '' AND status IS DISTINCT FROM 'failed' AS is_read,
        CASE WHEN jsonb_typeof(result_json -> 'questions') = 'array'
            THEN jsonb_array_length(result_json -> 'questions') END AS n_elements,
        CASE WHEN jsonb_typeof(result_json -> 'questions') = 'array' THEN (
            SELECT count(*) FROM jsonb_array_elements(result_json -> 'questions') AS e (question)
            WHERE jsonb_typeof(question -> 'question_id') IN ('string', 'number')
                AND question ->> 'question_id' <> ''
        ) END AS n_usable
    FROM exam_results
    WHERE coalesce(updated_at, created_at) >= :start AND coalesce(updated_at, created_at) < :end
        AND (CAST(:exam_id AS integer) IS NULL OR exam_id = :exam_id)
) AS result
"""


def count_left_out(connection: Connection, scope: Scope) -> dict[str, int]:
    """Return what the attempt view leaves out of these days and this exam, by reason (only those that occur).

    What is left out has no item and often no topic, so a topic in the scope does not narrow it.
    """
    counts = connection.execute(sa.text(LEFT_OUT), scope.parameters).one()
    return {reason: int(n) for reason, n in zip(LEFT_OUT_REASONS, counts, strict=True) if n}
