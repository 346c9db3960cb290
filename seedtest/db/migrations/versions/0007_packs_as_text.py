"""Keep the lists of unpacked answers as text instead of JSON, and without a write-ahead log."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PARTITIONS = 32
LISTS = ("ordinals", "items", "correct", "ms", "hints")


def upgrade() -> None:
    """Empty the packs, which the next run makes again, and change their columns."""
    op.execute("TRUNCATE answer_pack")
    op.drop_column("answer_pack", "answers")
    for name in LISTS:
        op.add_column("answer_pack", sa.Column(name, sa.Text(), nullable=False))
    op.add_column("answer_pack", sa.Column("topics", sa.Text(), nullable=True))
    _each_partition("SET UNLOGGED")


def downgrade() -> None:
    """Empty the packs, and change their columns back."""
    op.execute("TRUNCATE answer_pack")
    _each_partition("SET LOGGED")
    for name in (*LISTS, "topics"):
        op.drop_column("answer_pack", name)
    op.add_column("answer_pack", sa.Column("answers", sa.JSON(), nullable=False))


def _each_partition(change: str) -> None:
    for part in range(PARTITIONS):
        op.execute(f"ALTER TABLE answer_pack_{part:02} {change}")
