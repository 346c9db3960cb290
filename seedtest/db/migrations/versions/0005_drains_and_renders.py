"""Create what the θ queue and the weekly reports remember beside the contract's tables."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; the only generation of drains begins at 1."""
    op.create_table(
        "theta_drain",
        sa.Column("id", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_theta_drain_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_theta_drain")),
    )
    op.execute("INSERT INTO theta_drain (id) VALUES (1)")
    op.create_index(
        "ix_theta_request_parked",
        "theta_request",
        ["requested_at"],
        postgresql_where=sa.text("status = 'parked'"),
    )
    op.create_table(
        "report_render",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("week_start", sa.Date(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("rendered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id", "week_start", "format"],
            ["report_artifacts.user_id", "report_artifacts.week_start", "report_artifacts.format"],
            name=op.f("fk_report_render_user_id_week_start_format"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "week_start", "format", name=op.f("pk_report_render")),
    )
    op.create_table(
        "report_preference",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("language IN ('ko', 'en')", name=op.f("ck_report_preference_language")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_report_preference")),
    )


def downgrade() -> None:
    """Drop the tables, and the index."""
    op.drop_index("ix_theta_request_parked", "theta_request")
    for table in ("report_preference", "report_render", "theta_drain"):
        op.drop_table(table)
