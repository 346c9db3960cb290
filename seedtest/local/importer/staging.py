"""The temporary tables of an import, filled by COPY and gone with its transaction."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

# What marks a result as ours: only such results are ever merged into.
SOURCE = "seedtest-import"

# COLLATE "C" sorts by bytes, several times faster than by a language's rules.
TABLES = (
    """
    CREATE TEMP TABLE stage_answer (
        line bigint NOT NULL,
        user_id text COLLATE "C" NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        correct boolean NOT NULL,
        completed_at timestamptz,
        response_time_ms int,
        hints int,
        topic_id text,
        session_id text COLLATE "C"
    ) ON COMMIT DROP
    """,
    """
    CREATE TEMP TABLE stage_item (
        line bigint NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        topic_id text,
        content text NOT NULL,
        meta jsonb NOT NULL
    ) ON COMMIT DROP
    """,
    """
    CREATE TEMP TABLE stage_conflict (line bigint NOT NULL, reason text NOT NULL) ON COMMIT DROP
    """,
)


def create_stage(connection: Connection) -> None:
    """Create the empty staging tables."""
    # Sorts and hashes of millions of answers; the setting ends with the transaction.
    connection.execute(sa.text("SET LOCAL work_mem = '128MB'"))
    for table in TABLES:
        connection.execute(sa.text(table))


def analyze_stage(connection: Connection) -> None:
    """Tell the planner what was staged; autovacuum never sees temporary tables."""
    connection.execute(sa.text("ANALYZE stage_answer, stage_item"))
