"""The state of the database, to compare runs by."""

import hashlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

# When something was written is no part of what it says.
CLOCKS = {"computed_at", "created_at", "updated_at", "fitted_at", "generated_at"}
RESULTS = ("features_topic_daily", "weekly_kpi")
ESTIMATES = ("mirt_item_params", "mirt_ability", "student_topic_theta")


def snapshot(engine: Engine, tables: tuple[str, ...] = RESULTS + ESTIMATES) -> dict[str, tuple[int, str]]:
    """Return the number of rows and a digest of each table, as PostgreSQL prints it, without clocks."""
    return {table: _digest(engine, table) for table in tables}


def _digest(engine: Engine, table: str) -> tuple[int, str]:
    columns = [c["name"] for c in sa.inspect(engine).get_columns(table) if c["name"] not in CLOCKS]
    text = " || '|' || ".join(f"coalesce({column}::text, '∅')" for column in columns)
    with engine.connect() as connection:
        rows = connection.scalars(sa.text(f"SELECT {text} FROM {table} ORDER BY 1")).all()
    return len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()


def scalar(engine: Engine, query: str) -> Any:
    with engine.connect() as connection:
        return connection.scalar(sa.text(query))
