"""The digests of what a stage's rows were computed from (`input_digest`)."""

import datetime as dt

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.buckets import Buckets, bucket_of
from seedtest.db.frames import Schema, copy_rows, read_frame

DIGESTS: Schema = {"user_id": pl.String, "date": pl.Date, "digest": pl.Int64}

# A digest whose rows somebody has deleted says nothing: they are to be computed again.
LOAD = """
SELECT user_id, date, digest FROM input_digest AS d
WHERE stage = %(stage)s AND bucket BETWEEN %(first_bucket)s AND %(last_bucket)s
    AND date BETWEEN %(first_day)s AND %(last_day)s
    AND EXISTS (SELECT FROM {table} AS r WHERE (r.user_id, r.{day}) = (d.user_id, d.date))
"""
ROWS = {
    "aggregate-features-daily": {"table": "features_topic_daily", "day": "date"},
    "compute-daily-kpis": {"table": "weekly_kpi", "day": "week_start"},
}
"""Where a stage's rows are, and which column is their day."""

STAGED = "CREATE TEMP TABLE stage_digest (user_id text, date date, digest bigint) ON COMMIT DROP"
STORE = f"""
INSERT INTO input_digest (stage, bucket, user_id, date, digest)
SELECT :stage, {bucket_of("user_id")}, user_id, date, digest FROM stage_digest
ON CONFLICT (stage, bucket, user_id, date) DO UPDATE SET digest = excluded.digest
"""
FORGET = f"""
DELETE FROM input_digest AS d USING stage_digest AS s
WHERE (d.stage, d.bucket, d.user_id, d.date) = (:stage, {bucket_of("s.user_id")}, s.user_id, s.date)
"""


def load_digests(
    connection: Connection, stage: str, buckets: Buckets, first_day: dt.date, last_day: dt.date
) -> pl.DataFrame:
    """Return what a stage noted of these learners and days: user_id, date, digest."""
    bounds = {"stage": stage, "first_day": first_day, "last_day": last_day, **buckets.parameters}
    return read_frame(connection, LOAD.format(**ROWS[stage]), DIGESTS, bounds)


def store_digests(connection: Connection, stage: str, digests: pl.DataFrame) -> None:
    """Note what rows were computed from, in the transaction that writes them."""
    _with_staged(connection, stage, digests.select(*DIGESTS), STORE)


def forget_digests(connection: Connection, stage: str, keys: pl.DataFrame) -> None:
    """Drop the notes of rows (user_id, date) that are no more, or have to be computed again."""
    _with_staged(connection, stage, keys.select("user_id", "date"), FORGET)


def _with_staged(connection: Connection, stage: str, frame: pl.DataFrame, statement: str) -> None:
    if frame.is_empty():
        return
    connection.execute(sa.text(STAGED))
    copy_rows(connection, "stage_digest", frame)
    connection.execute(sa.text(statement), {"stage": stage})
    connection.execute(sa.text("DROP TABLE stage_digest"))
