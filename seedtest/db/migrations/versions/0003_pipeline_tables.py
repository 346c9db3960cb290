"""Create the pipeline's own tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables with their indexes."""
    op.create_table(
        "features_topic_daily",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("topic_id", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("correct", sa.Integer(), nullable=False),
        sa.Column("avg_time_ms", sa.Integer(), nullable=True),
        sa.Column("rt_median", sa.Integer(), nullable=True),
        sa.Column("hints", sa.Integer(), nullable=False),
        sa.Column("theta_estimate", sa.Double(), nullable=True),
        sa.Column("theta_sd", sa.Double(), nullable=True),
        sa.Column("improvement", sa.Double(), nullable=True),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "topic_id", "date", name=op.f("pk_features_topic_daily")),
    )
    op.create_index("ix_features_topic_daily_date", "features_topic_daily", ["date"], unique=False)
    op.create_index(
        "ix_features_topic_daily_topic_id_date", "features_topic_daily", ["topic_id", "date"], unique=False
    )
    op.create_index(
        "ix_features_topic_daily_user_id_date", "features_topic_daily", ["user_id", "date"], unique=False
    )
    op.create_table(
        "mirt_ability",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("theta", sa.Double(), nullable=False),
        sa.Column("se", sa.Double(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("fitted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("source IN ('calibration', 'online')", name=op.f("ck_mirt_ability_source")),
        sa.PrimaryKeyConstraint("user_id", "version", "source", "as_of", name=op.f("pk_mirt_ability")),
    )
    op.create_index("ix_mirt_ability_fitted_at", "mirt_ability", ["fitted_at"], unique=False)
    op.create_index(
        "ix_mirt_ability_latest",
        "mirt_ability",
        ["user_id", sa.text("as_of DESC"), sa.text("fitted_at DESC")],
        unique=False,
    )
    op.create_table(
        "mirt_fit_meta",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("model_spec", JSONB(), nullable=False),
        sa.Column("metrics", JSONB(), nullable=False),
        sa.Column("fitted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_mirt_fit_meta")),
    )
    op.create_index("ix_mirt_fit_meta_fitted_at", "mirt_fit_meta", ["fitted_at"], unique=False)
    op.create_table(
        "mirt_item_params",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("params", JSONB(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("fitted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_mirt_item_params")),
    )
    op.create_table(
        "report_artifacts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("week_start", sa.Date(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column(
            "generated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("file_size_bytes", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("format IN ('html', 'pdf')", name=op.f("ck_report_artifacts_format")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_artifacts")),
        sa.UniqueConstraint(
            "user_id", "week_start", "format", name=op.f("uq_report_artifacts_user_id_week_start_format")
        ),
    )
    op.create_index("ix_report_artifacts_generated_at", "report_artifacts", ["generated_at"], unique=False)
    op.create_table(
        "student_topic_theta",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("topic_id", sa.Text(), nullable=False),
        sa.Column("theta", sa.Double(), nullable=False),
        sa.Column("se", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fitted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "topic_id", name=op.f("pk_student_topic_theta")),
    )
    op.create_table(
        "theta_request",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column(
            "requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("ability_as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'done', 'noop', 'parked')", name=op.f("ck_theta_request_status")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_theta_request")),
    )
    op.create_index(
        "ix_theta_request_pending",
        "theta_request",
        ["requested_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "weekly_kpi",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("week_start", sa.Date(), nullable=False),
        sa.Column("kpis", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "week_start", name=op.f("pk_weekly_kpi")),
    )
    op.create_index("ix_weekly_kpi_week_start", "weekly_kpi", ["week_start"], unique=False)
    op.create_table(
        "mirt_item_params_history",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("params", JSONB(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("fitted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["mirt_fit_meta.run_id"],
            name=op.f("fk_mirt_item_params_history_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "item_id", name=op.f("pk_mirt_item_params_history")),
    )
    op.create_index(
        "ix_mirt_item_params_history_item_id",
        "mirt_item_params_history",
        ["item_id", "fitted_at"],
        unique=False,
    )


def downgrade() -> None:
    """Drop them; all they hold can be computed again from the answers."""
    for table in (
        "mirt_item_params_history",
        "weekly_kpi",
        "theta_request",
        "student_topic_theta",
        "report_artifacts",
        "mirt_item_params",
        "mirt_fit_meta",
        "mirt_ability",
        "features_topic_daily",
    ):
        op.drop_table(table)
