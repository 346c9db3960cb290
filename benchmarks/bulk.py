"""Bulk reads and upserts against the obvious ways, on the embedded PostgreSQL."""

import os
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from benchmarks.timing import Contender, compare
from seedtest.db import migrate
from seedtest.db.engine import create_engine
from seedtest.db.frames import UTC_TIME, Schema, driver_connection, read_frame, upsert
from seedtest.db.schema import Base
from seedtest.local.postgres import EmbeddedPostgres

ROWS = 300_000
SAMPLE = 20_000
SCHEMA: Schema = {
    "user_id": pl.String,
    "version": pl.String,
    "source": pl.String,
    "as_of": UTC_TIME,
    "theta": pl.Float64,
    "se": pl.Float64,
    "model": pl.String,
}
QUERY = f"SELECT {', '.join(SCHEMA)} FROM mirt_ability"
TABLE = Base.metadata.tables["mirt_ability"]


def abilities(rows: int) -> pl.DataFrame:
    """Return made-up rows of mirt_ability."""
    rng = np.random.default_rng(1)
    users = [f"user-{i}" for i in range(rows)]
    columns = {"user_id": users, "theta": rng.normal(size=rows), "se": rng.uniform(0.2, 0.6, rows)}
    return pl.DataFrame(columns).with_columns(
        version=pl.lit("v1"),
        source=pl.lit("calibration"),
        model=pl.lit("2PL"),
        as_of=pl.datetime(2026, 1, 1, time_zone="UTC").cast(UTC_TIME),
    )


def main() -> None:
    """Measure reads and writes."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "home", durable=False)
        server.start()
        migrate.upgrade(server.url())
        engine = create_engine(server.url())
        try:
            write(engine)
            read(engine)
        finally:
            engine.dispose()
            server.remove()


def write(engine: Engine) -> None:
    """Upsert rows that are new, and the same rows again."""
    frame, sample = abilities(ROWS), abilities(SAMPLE)

    def fresh(rows: pl.DataFrame) -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("TRUNCATE mirt_ability"))
            upsert(connection, TABLE, rows)

    def executemany() -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("TRUNCATE mirt_ability"))
            connection.execute(sa.insert(TABLE), sample.to_dicts())

    ours = Contender(f"upsert of {SAMPLE:,} new rows", lambda: fresh(sample))
    compare("Writing", ours, [Contender("SQLAlchemy insert of the same, no upsert", executemany)])
    fresh(frame)


def read(engine: Engine) -> None:
    """Read the table into polars."""

    def ours() -> None:
        with engine.connect() as connection:
            read_frame(connection, QUERY, SCHEMA)

    def database() -> None:
        with engine.connect() as connection:
            pl.read_database(QUERY, connection, schema_overrides=dict(SCHEMA))

    def limit() -> None:
        with engine.connect() as connection, Path(os.devnull).open("wb") as sink:
            cursor = driver_connection(connection).cursor()
            cursor.copy_expert(f"COPY ({QUERY}) TO STDOUT (FORMAT csv)", sink)

    compare(
        f"Reading {ROWS:,} rows of {len(SCHEMA)} columns into polars",
        Contender("read_frame", ours),
        [
            Contender("the limit: COPY to nowhere", limit),
            Contender("polars.read_database over SQLAlchemy", database),
        ],
    )
