"""Create what makes features and KPIs incremental, and what a backfill remembers."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COUNTS = ("answers", "correct", "without_topic", "without_time", "impossible_times", "hasty")
BUCKETS, PARTITIONS = 4096, 32
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables; they fill as the stages run."""
    op.create_table(
        "answer_pack",
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("result_id", sa.Uuid(), nullable=False),
        sa.Column("row_version", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("completed_at", TIME, nullable=False),
        sa.Column("n_elements", sa.Integer(), nullable=True),
        *(sa.Column(f"n_{what}", sa.Integer(), nullable=False) for what in COUNTS),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "result_id", name=op.f("pk_answer_pack")),
        postgresql_partition_by="RANGE (bucket)",
    )
    for part in range(PARTITIONS):
        first, after = (BUCKETS * number // PARTITIONS for number in (part, part + 1))
        op.execute(
            f"CREATE TABLE answer_pack_{part:02} PARTITION OF answer_pack"
            f" FOR VALUES FROM ({first}) TO ({after})"
        )
    op.create_index("ix_answer_pack_bucket_completed_at", "answer_pack", ["bucket", "completed_at"])
    op.create_index("ix_answer_pack_completed_at", "answer_pack", ["completed_at"])
    op.create_table(
        "input_digest",
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stage", "bucket", "user_id", "date", name=op.f("pk_input_digest")),
    )
    op.create_table(
        "backfill_window",
        sa.Column("backfill_id", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("flow_run_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("updated_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'done', 'failed')", name=op.f("ck_backfill_window_status")
        ),
        sa.PrimaryKeyConstraint("backfill_id", "first_day", name=op.f("pk_backfill_window")),
    )
    op.create_index("ix_backfill_window_updated_at", "backfill_window", ["updated_at"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("backfill_window", "input_digest", "answer_pack"):
        op.drop_table(table)
