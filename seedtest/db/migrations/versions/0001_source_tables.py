"""Create the platform's tables where they are absent, and check them where they are not."""

import sqlalchemy as sa
from alembic import op

from seedtest.errors import ConfigurationError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OURS = "created by seedtest-analytics, since the platform had none"

TABLES = {
    "exam_results": """
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        session_id text NOT NULL UNIQUE,
        user_id text,
        org_id integer,
        exam_id integer,
        status text NOT NULL DEFAULT 'ready',
        result_json jsonb NOT NULL,
        score_raw numeric,
        score_scaled numeric,
        standard_error numeric,
        percentile numeric,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    """,
    "question": """
        id text PRIMARY KEY,
        content text NOT NULL,
        difficulty numeric,
        topic_id text,
        meta jsonb DEFAULT '{}'::jsonb,
        created_at timestamptz DEFAULT now(),
        updated_at timestamptz DEFAULT now()
    """,
    "session": """
        id text PRIMARY KEY,
        user_id text,
        org_id integer,
        classroom_id text,
        exam_id integer,
        started_at timestamptz,
        ended_at timestamptz,
        status text,
        created_at timestamptz DEFAULT now()
    """,
    "classroom": """
        id text PRIMARY KEY,
        org_id text,
        name text,
        grade smallint,
        created_at timestamptz DEFAULT now(),
        UNIQUE (org_id, name)
    """,
    "interest_goal": """
        user_id text NOT NULL,
        topic_id text NOT NULL,
        interest smallint CONSTRAINT ck_interest_goal_interest CHECK (interest BETWEEN 1 AND 5),
        target_level double precision,
        target_score numeric,
        target_date date,
        priority smallint DEFAULT 0,
        updated_at timestamptz DEFAULT now(),
        PRIMARY KEY (user_id, topic_id)
    """,
}

# What the views, loaders and updates mention of a table that was there before: column and, where it
# matters, type (one of TYPES, or PostgreSQL's name of it).
NEEDED: dict[str, dict[str, str | None]] = {
    "exam_results": {
        "id": None,
        "session_id": "text",
        "user_id": "text",
        "exam_id": "integer",
        "status": "text",
        "result_json": "jsonb",
        "created_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
    },
    "question": {
        "id": "text",
        "content": "text",
        "topic_id": "text",
        "meta": "jsonb",
        "updated_at": "timestamp",
    },
    "interest_goal": {
        "user_id": "text",
        "topic_id": "text",
        "target_level": "number",
        "priority": "integer",
    },
}
INTEGERS = {"smallint", "integer", "bigint"}
TYPES = {
    "text": {"text", "character varying"},
    "integer": INTEGERS,
    "number": INTEGERS | {"numeric", "real", "double precision"},
    "timestamp": {"timestamp with time zone", "timestamp without time zone"},
}


def upgrade() -> None:
    """Create what is absent; refuse a table that the views could not read."""
    connection = op.get_bind()
    present = set(sa.inspect(connection).get_table_names())
    for name in NEEDED:
        if name in present:
            _check(connection, name)
    for name, columns in TABLES.items():
        if name not in present:
            op.execute(f"CREATE TABLE {name} ({columns})")
            op.execute(f"COMMENT ON TABLE {name} IS '{OURS}'")


def _check(connection: sa.Connection, table: str) -> None:
    rows = connection.execute(
        sa.text(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = :table"
        ),
        {"table": table},
    )
    found: dict[str, str] = {row.column_name: row.data_type for row in rows}
    wrong = [
        f"{column} {kind or ''}".strip() + (f" (is {found[column]})" if column in found else " (missing)")
        for column, kind in NEEDED[table].items()
        if column not in found or not _fits(found[column], kind)
    ]
    if wrong:
        raise ConfigurationError(
            f"The platform's table {table} cannot be read: {', '.join(wrong)}. Nothing was changed; "
            "mend the table, or name another database in DATABASE_URL."
        )


def _fits(found: str, wanted: str | None) -> bool:
    return wanted is None or found in TYPES.get(wanted, {wanted})


def downgrade() -> None:
    """Drop only what this migration created and nobody has filled: answers are not ours to delete."""
    connection = op.get_bind()
    present = set(sa.inspect(connection).get_table_names())
    for name in [name for name in TABLES if name in present]:
        comment = sa.inspect(connection).get_table_comment(name)["text"]
        filled = connection.scalar(sa.text(f"SELECT EXISTS (SELECT FROM {name})"))
        if comment == OURS and not filled:
            op.execute(f"DROP TABLE {name}")
