"""Bulk reads into polars and bulk upserts from it, both by COPY.

COPY is the fastest way in and out that keeps to the caller's transaction: a read sees what the
transaction sees, an upsert lands or vanishes with it. Types come from the schema given, never from
the first rows, so that an empty result has them too.
"""

import io
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import polars as pl
import sqlalchemy as sa
from psycopg2 import extensions
from sqlalchemy.engine import Connection

from seedtest.errors import DataError

logger = logging.getLogger(__name__)

UTC_TIME = pl.Datetime("us", "UTC")
# A result up to this size is kept in memory, a larger one spills to a temporary file.
SPOOL_BYTES = 64 * 2**20

Schema = Mapping[str, pl.DataType | type[pl.DataType]]


def driver_connection(connection: Connection) -> extensions.connection:
    """Return psycopg2's own connection, within the same transaction."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, extensions.connection):
        raise TypeError(f"COPY needs a psycopg2 connection, not {type(driver).__name__}")
    # SQLAlchemy begins a transaction only when it executes something itself.
    connection.execute(sa.text("SELECT 1"))
    return driver


def read_frame(
    connection: Connection, query: str, schema: Schema, parameters: Mapping[str, Any] | None = None
) -> pl.DataFrame:
    """Return the rows of a query as a frame of exactly this schema; rows come in no order.

    `query` is SELECT with placeholders in psycopg2's style, ``%(name)s``, where it has `parameters`; its
    columns must have the names of the schema. Times arrive as microseconds since 1970, so that no text
    format is guessed.
    """
    columns = ", ".join(_outbound(name, kind) for name, kind in schema.items())
    with driver_connection(connection).cursor() as cursor, tempfile.SpooledTemporaryFile(SPOOL_BYTES) as file:
        bound = cursor.mogrify(query, parameters or None).decode()
        cursor.copy_expert(f"COPY (SELECT {columns} FROM ({bound}) AS source) TO STDOUT (FORMAT csv)", file)
        if not file.tell():
            return pl.DataFrame(schema=schema)
        file.seek(0)
        raw = pl.read_csv(
            file.read(),
            has_header=False,
            new_columns=list(schema),
            schema_overrides=[_wire(kind) for kind in schema.values()],
        )
    return raw.select(
        pl.col(name) != 0 if kind == pl.Boolean else pl.col(name).cast(kind) for name, kind in schema.items()
    )


def _outbound(name: str, kind: pl.DataType | type[pl.DataType]) -> str:
    if kind == pl.Datetime:
        return f'CAST(extract(epoch FROM "{name}") * 1000000 AS bigint)'
    if kind == pl.Date:
        return f"\"{name}\" - DATE '1970-01-01'"
    if kind == pl.Boolean:
        return f'"{name}"::int'
    return f'"{name}"'


def _wire(kind: pl.DataType | type[pl.DataType]) -> pl.DataType | type[pl.DataType]:
    if kind == pl.Datetime:
        return pl.Int64
    if kind in {pl.Date, pl.Boolean}:
        return pl.Int32
    return kind


@dataclass(frozen=True)
class Written:
    """How many rows an upsert inserted, changed, left as they were, and deleted."""

    inserted: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0

    @property
    def rows(self) -> int:
        """Rows that the table now holds of those given."""
        return self.inserted + self.changed + self.unchanged

    def __add__(self, other: "Written") -> "Written":
        """Return the counts of both."""
        return Written(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def described(self, what: str) -> dict[str, int]:
        """Return the counts by name, without those that are zero."""
        return {f"{what} {field.name}": n for field in fields(self) if (n := getattr(self, field.name))}

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, field.name)} {field.name}" for field in fields(self))


def staged_name(table: sa.Table) -> str:
    """Return the name of the temporary table that `upsert` leaves its rows in until the commit."""
    return f"stage_{table.name}"


def stage(connection: Connection, table: sa.Table, frame: pl.DataFrame, name: str = "") -> str:
    """Copy a frame into a temporary table shaped like `table`, gone at commit; return its name."""
    name = name or staged_name(table)
    names = ", ".join(f'"{column}"' for column in frame.columns)
    connection.execute(sa.text(f"DROP TABLE IF EXISTS pg_temp.{name}"))
    connection.execute(
        sa.text(f"CREATE TEMP TABLE {name} ON COMMIT DROP AS SELECT {names} FROM {table.name} LIMIT 0")
    )
    copy_rows(connection, name, frame)
    return name


def copy_rows(connection: Connection, table: str, frame: pl.DataFrame) -> None:
    """Append a frame to a table by COPY, column by column name."""
    names = ", ".join(f'"{column}"' for column in frame.columns)
    buffer = io.BytesIO()
    frame.write_csv(
        buffer, include_header=False, quote_style="non_numeric", datetime_format="%Y-%m-%d %H:%M:%S%.6f%:z"
    )
    buffer.seek(0)
    with driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN (FORMAT csv)", buffer)


def upsert(
    connection: Connection,
    table: sa.Table,
    frame: pl.DataFrame,
    *,
    merge: Mapping[str, str] | None = None,
    stamp: str | None = None,
) -> Written:
    """Insert the frame's rows, or update those whose key is there; a row that says the same stays untouched.

    Parameters
    ----------
    merge
        Columns whose new value is not the frame's: column → SQL over ``old`` (the row that is
        there) and ``excluded`` (the frame's).
    stamp
        A time column set to now() in changed rows.

    Raises
    ------
    DataError
        When two rows of the frame have the same key.
    """
    if frame.is_empty():
        return Written()
    keys = [column.name for column in table.primary_key]
    _require_distinct(frame.select(keys), table.name)
    staged = stage(connection, table, frame)
    values = {c: f'excluded."{c}"' for c in frame.columns if c not in keys} | dict(merge or {})
    names = ", ".join(f'"{column}"' for column in frame.columns)
    updates = [f'"{column}" = {value}' for column, value in values.items()]
    updates += [f'"{stamp}" = now()'] if stamp else []
    differs = " OR ".join(f'old."{column}" IS DISTINCT FROM {value}' for column, value in values.items())
    counts = connection.execute(
        sa.text(
            f"WITH written AS (INSERT INTO {table.name} AS old ({names}) SELECT {names} FROM {staged}"
            f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(updates)} WHERE {differs}"
            " RETURNING xmax = 0 AS fresh)"
            " SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM written"
        )
    ).one()
    inserted, changed = int(counts[0]), int(counts[1])
    return Written(inserted, changed, frame.height - inserted - changed)


def _require_distinct(keys: pl.DataFrame, table: str) -> None:
    twice = keys.filter(keys.is_duplicated())
    if not twice.is_empty():
        key = ", ".join(f"{name} {value!r}" for name, value in twice.row(0, named=True).items())
        raise DataError(
            f"{twice.height} rows for {table} share their key with another, such as {key}. Nothing was "
            "written: make the rows distinct by key."
        )
