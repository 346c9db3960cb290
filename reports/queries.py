"""What the database says of some learners at the end of a week: a query a table, however many they are."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reports.period import Period
from seedtest.db.frames import UTC_TIME, Schema, read_frame
from seedtest.windows import ANSWER_ORDER, ATTEMPTS

KPI_ROWS: Schema = {"user_id": pl.String, "week_start": pl.Date, "kpis": pl.String, "updated_at": UTC_TIME}
ANSWERS: Schema = {name: kind for name, kind in ATTEMPTS.items() if name not in {"hints", "hint_used"}}
ABILITY_ROWS: Schema = {
    "user_id": pl.String,
    "theta": pl.Float64,
    "se": pl.Float64,
    "model": pl.String,
    "version": pl.String,
    "source": pl.String,
    "as_of": UTC_TIME,
}
GOAL_ROWS: Schema = {
    "user_id": pl.String,
    "topic_id": pl.String,
    "target_level": pl.Float64,
    "target_score": pl.Float64,
    "target_date": pl.Date,
    "priority": pl.Int64,
}
LANGUAGE_ROWS: Schema = {"user_id": pl.String, "language": pl.String}

_OF_THESE = "user_id = ANY(%(user_ids)s::text[])"

KPI_QUERY = (
    f"SELECT user_id, week_start, kpis, updated_at FROM weekly_kpi WHERE {_OF_THESE}"
    " AND week_start BETWEEN %(first_day)s AND %(week_start)s"
)
ANSWER_QUERY = (
    f"SELECT {', '.join(ANSWERS)} FROM attempt_base WHERE {_OF_THESE}"
    " AND completed_at >= %(start)s AND completed_at < %(end)s"
)
# The newest of each week and scale, and the newest of all that is older. Times before 1970 are no answer's.
ABILITY_QUERY = (
    f"SELECT DISTINCT ON (user_id, version, week) {', '.join(ABILITY_ROWS)} FROM ("
    " SELECT *, greatest(date_trunc('week', as_of AT TIME ZONE 'UTC')::date, %(first_day)s - 7) AS week"
    f" FROM mirt_ability WHERE {_OF_THESE} AND as_of >= '1970-01-01' AND as_of < %(end)s) AS weekly"
    " ORDER BY user_id, version, week, as_of DESC, fitted_at DESC, theta DESC, se DESC"
)
# A day that no calendar has a year for ('infinity') is no day to reach anything by.
GOAL_QUERY = (
    "SELECT user_id, topic_id, target_level, target_score, coalesce(priority, 0) AS priority,"
    " CASE WHEN target_date BETWEEN '0001-01-01' AND '9999-12-31' THEN target_date END AS target_date"
    f" FROM interest_goal WHERE {_OF_THESE}"
)
LANGUAGE_QUERY = f"SELECT user_id, language FROM report_preference WHERE {_OF_THESE}"


@dataclass(frozen=True)
class Source:
    """The rows of a batch of learners; answers are sorted by learner and time, other rows by their key.

    `abilities` holds each learner's newest of each of the eight weeks and scale, and of all time before.
    """

    kpis: pl.DataFrame
    answers: pl.DataFrame
    abilities: pl.DataFrame
    goals: pl.DataFrame
    languages: pl.DataFrame


def load_source(connection: Connection, period: Period, user_ids: Sequence[str]) -> Source:
    """Read the rows of these learners, with nothing of answers after the week."""
    bound = {
        "user_ids": list(user_ids),
        "first_day": period.first_day,
        "week_start": period.week_start,
        "start": period.answers.start,
        "end": period.answers.end,
    }

    def read(query: str, schema: Schema, *order: str) -> pl.DataFrame:
        return read_frame(connection, query, schema, bound).sort("user_id", *order)

    return Source(
        kpis=read(KPI_QUERY, KPI_ROWS, "week_start"),
        answers=read(ANSWER_QUERY, ANSWERS, *ANSWER_ORDER),
        abilities=read(ABILITY_QUERY, ABILITY_ROWS, "as_of", "version"),
        goals=read(GOAL_QUERY, GOAL_ROWS, "topic_id"),
        languages=read(LANGUAGE_QUERY, LANGUAGE_ROWS),
    )


@dataclass(frozen=True)
class ReportUsers:
    """Who gets a report of a week; `n_without_kpis` counts who answered before its end and gets none."""

    user_ids: tuple[str, ...]
    n_without_kpis: int


WITHOUT_KPIS = """
SELECT count(*) FROM (
    SELECT DISTINCT user_id FROM exam_results
    WHERE coalesce(updated_at, created_at) >= :start AND coalesce(updated_at, created_at) < :end
        AND user_id <> '' AND status IS DISTINCT FROM 'failed'
) AS active
WHERE NOT EXISTS (SELECT FROM weekly_kpi AS k WHERE k.user_id = active.user_id AND k.week_start = :week_start)
    AND EXISTS (
        SELECT FROM attempt_base AS a
        WHERE a.user_id = active.user_id AND a.completed_at >= :start AND a.completed_at < :end
    )
"""


def report_users(connection: Connection, week_start: dt.date, *, lookback_days: int) -> ReportUsers:
    """Return everybody with KPIs of the week, sorted, and how many active learners have none.

    Active is who has an answer in the `lookback_days` days up to the week's end (KPI_LOOKBACK_DAYS).
    """
    period = Period(week_start)
    rows = connection.execute(
        sa.text('SELECT user_id FROM weekly_kpi WHERE week_start = :week_start ORDER BY user_id COLLATE "C"'),
        {"week_start": week_start},
    )
    end = period.answers.end
    bound = {"week_start": week_start, "end": end, "start": end - dt.timedelta(days=lookback_days)}
    user_ids = tuple(rows.scalars())
    return ReportUsers(user_ids, connection.execute(sa.text(WITHOUT_KPIS), bound).scalar_one())
