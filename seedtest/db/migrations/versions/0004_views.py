"""Create the views."""

from alembic import op

from seedtest.db.views import VIEWS

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the views; an older `attempt` gives way."""
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW IF EXISTS {name}")
    for definition in VIEWS.values():
        # A colon before a name would be taken for a bound value.
        op.execute(definition.replace(":", r"\:"))


def downgrade() -> None:
    """Drop the views."""
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW IF EXISTS {name}")
