"""Writing features and KPIs, each within the caller's transaction."""

import datetime as dt
import json
from collections.abc import Collection, Sequence
from dataclasses import replace

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.buckets import Shard, bucket_of, of_shard
from seedtest.db.frames import Written, stage, staged_name, upsert
from seedtest.db.schema import Base, FeaturesTopicDaily, WeeklyKpi
from seedtest.kpis import KPIS


def write_features(connection: Connection, rows: pl.DataFrame, days: pl.DataFrame) -> Written:
    """Write topic features; of learners' `days` (user_id, date), what `rows` does not hold goes."""
    table = Base.metadata.tables[FeaturesTopicDaily.__tablename__]
    written = upsert(connection, table, rows, stamp="computed_at")
    whole = stage(connection, table, days.select("user_id", "date"), "whole_days")
    kept = staged_name(table) if rows.height else stage(connection, table, rows)
    connection.execute(sa.text(f"ANALYZE {whole}, {kept} (user_id, topic_id, date)"))
    deleted = connection.execute(
        sa.text(
            f"DELETE FROM features_topic_daily AS f USING {whole} AS d"
            f" WHERE (f.user_id, f.date) = (d.user_id, d.date) AND NOT EXISTS (SELECT FROM {kept} AS k"
            " WHERE (k.user_id, k.topic_id, k.date) = (f.user_id, f.topic_id, f.date))"
        )
    )
    return replace(written, deleted=int(deleted.rowcount))


NO_KPIS = json.dumps(dict.fromkeys(KPIS))
EMPTY = (
    "UPDATE weekly_kpi AS old SET kpis = old.kpis || CAST(:nothing AS jsonb), updated_at = now()"
    " WHERE old.kpis IS DISTINCT FROM old.kpis || CAST(:nothing AS jsonb)"
)


def write_kpis(connection: Connection, rows: pl.DataFrame, emptied: pl.DataFrame | None = None) -> Written:
    """Write weekly KPIs; keys of `kpis` that other jobs added survive.

    The rows of `emptied` (user_id, week_start), whose learners have no answers any more, stay with all six
    KPIs null.
    """
    kpis = rows.select("user_id", "week_start", kpis=pl.struct(KPIS).struct.json_encode())
    table = Base.metadata.tables[WeeklyKpi.__tablename__]
    written = upsert(connection, table, kpis, merge={"kpis": "old.kpis || excluded.kpis"}, stamp="updated_at")
    if emptied is None or emptied.is_empty():
        return written
    staged = stage(connection, table, emptied.select("user_id", "week_start"), "emptied_weeks")
    these = f" AND (old.user_id, old.week_start) IN (SELECT user_id, week_start FROM {staged})"
    n = connection.execute(sa.text(EMPTY + these), {"nothing": NO_KPIS}).rowcount
    return replace(written, changed=written.changed + int(n))


# The planner knows the digests as they were before the run, perhaps none: it would look through all of them
# for each row.
NO_LOOPS = "SET LOCAL enable_nestloop = off"


def sweep_features(
    connection: Connection, stage_name: str, first_day: dt.date, last_day: dt.date, shard: Shard
) -> int:
    """Delete the rows of days that no digest vouches for: their answers went before there were digests."""
    connection.execute(sa.text(NO_LOOPS))
    deleted = connection.execute(
        sa.text(
            "DELETE FROM features_topic_daily AS f WHERE date BETWEEN :first_day AND :last_day"
            f" AND {of_shard(shard, bucket_of('f.user_id'))} AND NOT EXISTS (SELECT FROM input_digest AS d"
            " WHERE d.stage = :stage AND (d.user_id, d.date) = (f.user_id, f.date))"
        ),
        {"stage": stage_name, "first_day": first_day, "last_day": last_day, **shard.buckets.parameters},
    )
    return int(deleted.rowcount)


def sweep_kpis(
    connection: Connection,
    stage_name: str,
    weeks: Sequence[dt.date],
    failed: Collection[str],
    shard: Shard,
) -> int:
    """Empty the rows of weeks that no digest vouches for; learners in `failed` keep what they had."""
    without = (
        " AND week_start = ANY(CAST(:weeks AS date[])) AND NOT user_id = ANY(CAST(:failed AS text[]))"
        f" AND {of_shard(shard, bucket_of('old.user_id'))} AND NOT EXISTS (SELECT FROM input_digest AS d"
        " WHERE d.stage = :stage AND (d.user_id, d.date) = (old.user_id, old.week_start))"
    )
    connection.execute(sa.text(NO_LOOPS))
    bounds = {"stage": stage_name, "weeks": list(weeks), "failed": list(failed), "nothing": NO_KPIS}
    return int(connection.execute(sa.text(EMPTY + without), bounds | shard.buckets.parameters).rowcount)
