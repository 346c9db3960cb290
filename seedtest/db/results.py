"""Writing features and KPIs, each within the caller's transaction."""

import datetime as dt
import json
from collections.abc import Collection, Sequence
from dataclasses import replace

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.frames import Written, stage, upsert
from seedtest.db.schema import Base, FeaturesTopicDaily, WeeklyKpi
from seedtest.kpis import KPIS


def write_features(
    connection: Connection, rows: pl.DataFrame, first_day: dt.date, last_day: dt.date
) -> Written:
    """Write topic features of whole days; rows of these days whose attempts are gone go too."""
    table = Base.metadata.tables[FeaturesTopicDaily.__tablename__]
    written = upsert(connection, table, rows, stamp="computed_at")
    staged = stage(connection, table, rows.select("user_id", "topic_id", "date"))
    deleted = connection.execute(
        sa.text(
            f"DELETE FROM features_topic_daily AS f WHERE date BETWEEN :first AND :last AND NOT EXISTS ("
            f" SELECT FROM {staged} AS s"
            " WHERE (s.user_id, s.topic_id, s.date) = (f.user_id, f.topic_id, f.date))"
        ),
        {"first": first_day, "last": last_day},
    )
    return replace(written, deleted=int(deleted.rowcount))


def write_kpis(
    connection: Connection,
    rows: pl.DataFrame,
    weeks: Sequence[dt.date] = (),
    failed: Collection[str] = (),
) -> Written:
    """Write weekly KPIs; keys of `kpis` that other jobs added survive.

    A learner who has a row of one of the `weeks`, the whole of which `rows` covers, but no answers any
    more keeps it with all six KPIs null; those in `failed` keep what they had.
    """
    kpis = rows.select("user_id", "week_start", kpis=pl.struct(KPIS).struct.json_encode())
    table = Base.metadata.tables[WeeklyKpi.__tablename__]
    written = upsert(connection, table, kpis, merge={"kpis": "old.kpis || excluded.kpis"}, stamp="updated_at")
    staged = stage(connection, table, kpis.select("user_id", "week_start"))
    emptied = connection.execute(
        sa.text(
            "UPDATE weekly_kpi AS old SET kpis = old.kpis || CAST(:nothing AS jsonb), updated_at = now()"
            " WHERE week_start = ANY(CAST(:weeks AS date[])) AND NOT user_id = ANY(CAST(:failed AS text[]))"
            " AND old.kpis IS DISTINCT FROM old.kpis || CAST(:nothing AS jsonb)"
            f" AND NOT EXISTS (SELECT FROM {staged} AS new"
            " WHERE (new.user_id, new.week_start) = (old.user_id, old.week_start))"
        ),
        {"nothing": json.dumps(dict.fromkeys(KPIS)), "weeks": list(weeks), "failed": list(failed)},
    )
    return replace(written, changed=written.changed + int(emptied.rowcount))
