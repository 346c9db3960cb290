"""The tables of the database, as typed models; the views stand in `views.py`.

The exam platform owns the source tables (`SourceBase`); the pipeline owns the others (`PipelineBase`).
Both share one `metadata`, so that a migration can be checked against it.
"""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
SOURCE = {"owner": "platform"}


class Base(DeclarativeBase):
    """One metadata for all; text everywhere, times with time zone, θ in double precision."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads this attribute as it stands)
        str: Text,
        int: Integer,
        float: Double,
        dt.datetime: DateTime(timezone=True),
        dt.date: Date,
        dict[str, Any]: JSONB,
    }


def now() -> Mapped[dt.datetime]:
    """Return a NOT NULL timestamp column that the database fills in."""
    return mapped_column(server_default=func.now())


# -- source tables: the exam platform's ------------------------------------------------------------


class ExamResult(Base):
    """One exam or practice session with its answers in `result_json.questions`."""

    __tablename__ = "exam_results"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, server_default=func.gen_random_uuid())
    session_id: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[str | None]
    org_id: Mapped[int | None]
    exam_id: Mapped[int | None]
    status: Mapped[str] = mapped_column(server_default="ready")
    result_json: Mapped[dict[str, Any]]
    score_raw: Mapped[float | None] = mapped_column(Numeric)
    score_scaled: Mapped[float | None] = mapped_column(Numeric)
    standard_error: Mapped[float | None] = mapped_column(Numeric)
    percentile: Mapped[float | None] = mapped_column(Numeric)
    created_at: Mapped[dt.datetime] = now()
    updated_at: Mapped[dt.datetime] = now()

    # The expression is the attempt view's completed_at: bulk reads filter on it.
    __table_args__ = (
        Index("ix_exam_results_completed_at", text("coalesce(updated_at, created_at)")),
        Index("ix_exam_results_user_id", "user_id"),
        {"info": SOURCE},
    )


class Question(Base):
    """An item: its text, topic and, in `meta`, tags and IRT parameters."""

    __tablename__ = "question"

    id: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[str]
    difficulty: Mapped[float | None] = mapped_column(Numeric)
    topic_id: Mapped[str | None]
    meta: Mapped[dict[str, Any] | None] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[dt.datetime | None] = now()
    updated_at: Mapped[dt.datetime | None] = now()

    __table_args__ = (
        Index("ix_question_tags", text("(meta -> 'tags')"), postgresql_using="gin"),
        {"info": SOURCE},
    )


class Session(Base):
    """A sitting of a learner, as the platform records it."""

    __tablename__ = "session"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str | None]
    org_id: Mapped[int | None]
    classroom_id: Mapped[str | None]
    exam_id: Mapped[int | None]
    started_at: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]
    status: Mapped[str | None]
    created_at: Mapped[dt.datetime | None] = now()

    __table_args__ = ({"info": SOURCE},)


class Classroom(Base):
    """A class of an organisation."""

    __tablename__ = "classroom"

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str | None]
    name: Mapped[str | None]
    grade: Mapped[int | None] = mapped_column(SmallInteger)
    created_at: Mapped[dt.datetime | None] = now()

    __table_args__ = (UniqueConstraint("org_id", "name"), {"info": SOURCE})


class InterestGoal(Base):
    """What a learner wants to reach in a topic; `target_level` is on the θ scale."""

    __tablename__ = "interest_goal"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    topic_id: Mapped[str] = mapped_column(primary_key=True)
    interest: Mapped[int | None] = mapped_column(SmallInteger)
    target_level: Mapped[float | None]
    target_score: Mapped[float | None] = mapped_column(Numeric)
    target_date: Mapped[dt.date | None]
    priority: Mapped[int | None] = mapped_column(SmallInteger, server_default=text("0"))
    updated_at: Mapped[dt.datetime | None] = now()

    __table_args__ = (CheckConstraint("interest BETWEEN 1 AND 5", name="interest"), {"info": SOURCE})


# -- pipeline tables -------------------------------------------------------------------------------


class FeaturesTopicDaily(Base):
    """A learner's day in a topic (domain §4)."""

    __tablename__ = "features_topic_daily"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    topic_id: Mapped[str] = mapped_column(primary_key=True)
    date: Mapped[dt.date] = mapped_column(primary_key=True)
    attempts: Mapped[int]
    correct: Mapped[int]
    avg_time_ms: Mapped[int | None]
    rt_median: Mapped[int | None]
    hints: Mapped[int]
    theta_estimate: Mapped[float | None]
    theta_sd: Mapped[float | None]
    improvement: Mapped[float | None]
    last_seen_at: Mapped[dt.datetime]
    computed_at: Mapped[dt.datetime] = now()

    __table_args__ = (
        Index("ix_features_topic_daily_topic_id_date", "topic_id", "date"),
        Index("ix_features_topic_daily_user_id_date", "user_id", "date"),
        # Stale rows are looked up by day alone.
        Index("ix_features_topic_daily_date", "date"),
    )


class WeeklyKpi(Base):
    """A learner's week: `kpis` holds I_t, E_t, R_t, A_t, P, S and what other jobs added."""

    __tablename__ = "weekly_kpi"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    week_start: Mapped[dt.date] = mapped_column(primary_key=True)
    kpis: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime] = now()
    updated_at: Mapped[dt.datetime] = now()

    __table_args__ = (Index("ix_weekly_kpi_week_start", "week_start"),)


class MirtItemParams(Base):
    """The current parameters of an item; `params` holds a, b, c, se_a, se_b, se_c, n."""

    __tablename__ = "mirt_item_params"

    item_id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    params: Mapped[dict[str, Any]]
    version: Mapped[str]
    fitted_at: Mapped[dt.datetime] = now()


class MirtItemParamsHistory(Base):
    """The parameters of every fit."""

    __tablename__ = "mirt_item_params_history"

    run_id: Mapped[str] = mapped_column(
        ForeignKey("mirt_fit_meta.run_id", ondelete="CASCADE"), primary_key=True
    )
    item_id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    params: Mapped[dict[str, Any]]
    version: Mapped[str]
    fitted_at: Mapped[dt.datetime] = now()

    __table_args__ = (Index("ix_mirt_item_params_history_item_id", "item_id", "fitted_at"),)


class MirtAbility(Base):
    """The history of a learner's θ; `mirt_ability_latest` shows the newest row of each."""

    __tablename__ = "mirt_ability"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    as_of: Mapped[dt.datetime] = mapped_column(primary_key=True)
    theta: Mapped[float]
    se: Mapped[float | None]
    model: Mapped[str]
    fitted_at: Mapped[dt.datetime] = now()

    __table_args__ = (
        CheckConstraint("source IN ('calibration', 'online')", name="source"),
        Index("ix_mirt_ability_latest", "user_id", text("as_of DESC"), text("fitted_at DESC")),
        Index("ix_mirt_ability_fitted_at", "fitted_at"),
    )


class MirtFitMeta(Base):
    """What a calibration used and how it went."""

    __tablename__ = "mirt_fit_meta"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    model_spec: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    fitted_at: Mapped[dt.datetime] = now()

    __table_args__ = (Index("ix_mirt_fit_meta_fitted_at", "fitted_at"),)


class StudentTopicTheta(Base):
    """A learner's newest θ in a topic, from the answers of the last 60 days."""

    __tablename__ = "student_topic_theta"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    topic_id: Mapped[str] = mapped_column(primary_key=True)
    theta: Mapped[float]
    se: Mapped[float | None]
    n: Mapped[int]
    model: Mapped[str]
    version: Mapped[str]
    as_of: Mapped[dt.datetime]
    fitted_at: Mapped[dt.datetime] = now()


class ThetaRequest(Base):
    """A finished session that asks for a new θ (domain §7)."""

    __tablename__ = "theta_request"

    session_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    requested_at: Mapped[dt.datetime] = now()
    status: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    reason: Mapped[str | None]
    ability_as_of: Mapped[dt.datetime | None]
    updated_at: Mapped[dt.datetime] = now()

    __table_args__ = (
        CheckConstraint("status IN ('pending', 'done', 'noop', 'parked')", name="status"),
        Index("ix_theta_request_pending", "requested_at", postgresql_where=text("status = 'pending'")),
        Index("ix_theta_request_parked", "requested_at", postgresql_where=text("status = 'parked'")),
    )


class ThetaDrain(Base):
    """The generation of drains that is open: whoever asks for a θ belongs to it until a run closes it.

    One row. All requests of a generation trigger one run, whose idempotency key is the generation.
    """

    __tablename__ = "theta_drain"

    id: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, autoincrement=False, server_default=text("1")
    )
    generation: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    opened_at: Mapped[dt.datetime] = now()

    __table_args__ = (CheckConstraint("id = 1", name="id"),)


class ReportArtifact(Base):
    """A rendered weekly report and where it lies."""

    __tablename__ = "report_artifacts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[str]
    week_start: Mapped[dt.date]
    format: Mapped[str]
    url: Mapped[str]
    generated_at: Mapped[dt.datetime] = now()
    file_size_bytes: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        UniqueConstraint("user_id", "week_start", "format"),
        CheckConstraint("format IN ('html', 'pdf')", name="format"),
        Index("ix_report_artifacts_generated_at", "generated_at"),
    )


class ReportRender(Base):
    """What a stored report was rendered from: a rerun renders only what another hash belongs to."""

    __tablename__ = "report_render"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    week_start: Mapped[dt.date] = mapped_column(primary_key=True)
    format: Mapped[str] = mapped_column(primary_key=True)
    content_hash: Mapped[str]
    language: Mapped[str]
    rendered_at: Mapped[dt.datetime] = now()

    __table_args__ = (
        ForeignKeyConstraint(
            ["user_id", "week_start", "format"],
            ["report_artifacts.user_id", "report_artifacts.week_start", "report_artifacts.format"],
            ondelete="CASCADE",
        ),
    )


class ReportPreference(Base):
    """The language that a learner chose for the reports; without a row REPORT_LANGUAGE decides."""

    __tablename__ = "report_preference"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    language: Mapped[str]
    updated_at: Mapped[dt.datetime] = now()

    __table_args__ = (CheckConstraint("language IN ('ko', 'en')", name="language"),)


class AnswerPack(Base):
    """The answers of one result, unpacked from its JSON once: features and KPIs read these.

    In step with exam_results by `row_version`, the transaction that wrote the row (xmin), which every
    change moves. `bucket` (0 to 4095) is a stable hash of the learner, by which work is shared out.
    """

    __tablename__ = "answer_pack"

    bucket: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    result_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    row_version: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[str]
    session_id: Mapped[str]
    completed_at: Mapped[dt.datetime]
    # Of the result's answers: for the data checks, which so need not unpack them.
    n_elements: Mapped[int | None]
    n_answers: Mapped[int]
    n_correct: Mapped[int]
    n_without_topic: Mapped[int]
    n_without_time: Mapped[int]
    n_impossible_times: Mapped[int]
    n_hasty: Mapped[int]
    # Lists with an element an answer, as text (`answer_packs.LISTS`), in which ids are escaped.
    ordinals: Mapped[str]
    items: Mapped[str]
    topics: Mapped[str | None]
    correct: Mapped[str]
    ms: Mapped[str]
    hints: Mapped[str]

    __table_args__ = (
        Index("ix_answer_pack_bucket_completed_at", "bucket", "completed_at"),
        Index("ix_answer_pack_completed_at", "completed_at"),
        # A batch of learners is read from few pages, however the days came in.
        {"postgresql_partition_by": "RANGE (bucket)"},
    )


class InputDigest(Base):
    """What a stage's rows of a learner and day were computed from: equal digests need no new rows."""

    __tablename__ = "input_digest"

    stage: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    date: Mapped[dt.date] = mapped_column(primary_key=True)
    digest: Mapped[int] = mapped_column(BigInteger)


class BackfillWindow(Base):
    """One window of a backfill, and how it went: a killed backfill goes on where it was."""

    __tablename__ = "backfill_window"

    backfill_id: Mapped[str] = mapped_column(primary_key=True)
    first_day: Mapped[dt.date] = mapped_column(primary_key=True)
    last_day: Mapped[dt.date]
    flow: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="pending")
    flow_run_id: Mapped[str | None]
    reason: Mapped[str | None]
    updated_at: Mapped[dt.datetime] = now()

    __table_args__ = (
        CheckConstraint("status IN ('pending', 'running', 'done', 'failed')", name="status"),
        Index("ix_backfill_window_updated_at", "updated_at"),
    )


SOURCE_TABLES = tuple(table for table in Base.metadata.sorted_tables if table.info == SOURCE)
PIPELINE_TABLES = tuple(table for table in Base.metadata.sorted_tables if table.info != SOURCE)
