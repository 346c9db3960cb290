"""Index the platform's tables for bulk reads, without holding up its writes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEXES = {
    # The expression is the attempt view's completed_at: bulk reads filter on it.
    "ix_exam_results_completed_at": "exam_results ((coalesce(updated_at, created_at)))",
    "ix_exam_results_user_id": "exam_results (user_id)",
    "ix_question_tags": "question USING gin ((meta -> 'tags'))",
}


def upgrade() -> None:
    """Build each index concurrently; one that an interrupted build left invalid is built anew."""
    for name, definition in INDEXES.items():
        if op.get_bind().scalar(
            sa.text("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
            {"name": name},
        ):
            op.execute(f"DROP INDEX {name}")
        with op.get_context().autocommit_block():
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}")


def downgrade() -> None:
    """Drop the indexes again."""
    for name in INDEXES:
        op.execute(f"DROP INDEX IF EXISTS {name}")
