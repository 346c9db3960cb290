"""Weekly KPIs of a batch of learners: found out of date, computed, written with their digests."""

import datetime as dt
from dataclasses import dataclass

import polars as pl
from sqlalchemy.engine import Connection

from seedtest.batches.digests import changed, context_digest, fit_digest, gone, window_digests
from seedtest.db.attempts import Scope, last_days
from seedtest.db.buckets import Buckets
from seedtest.db.calibrations import abilities_as_of, load_goals
from seedtest.db.digests import forget_digests, load_digests, store_digests
from seedtest.db.frames import Written
from seedtest.db.packed_answers import learner_days, read_answers
from seedtest.db.results import write_kpis
from seedtest.evidence import ACTIVITY_DAYS, ability_evidence, goal_evidence
from seedtest.failures import UserFailure
from seedtest.kpis import NEEDS_DAYS, weekly_kpis
from seedtest.scale import Fit
from seedtest.settings import Settings
from seedtest.windows import KpiWeek, first_day, kpi_weeks

STAGE = "compute-daily-kpis"


@dataclass(frozen=True)
class KpiJob:
    """What all batches of a run have in common."""

    date: dt.date
    fit: Fit
    settings: Settings

    @property
    def scope(self) -> Scope:
        """The days whose answers the rows need."""
        return last_days(self.date, max(NEEDS_DAYS, self.settings.kpi_lookback_days))

    @property
    def weeks(self) -> tuple[KpiWeek, KpiWeek]:
        """The weeks of the rows: the last completed one, and the running one."""
        return kpi_weeks(self.date)

    @property
    def context(self) -> int:
        """The digest of what decides about all rows, their week apart."""
        chosen = self.settings
        return context_digest(
            STAGE,
            fit_digest(self.fit.items, self.fit.prior),
            chosen.mirt_repeats,
            chosen.metrics_default_target,
            chosen.metrics_churn_horizon_days,
        )


@dataclass(frozen=True)
class KpiBatch:
    """What became of a batch: the rows computed, and how many needed nothing."""

    rows: pl.DataFrame
    failures: tuple[UserFailure, ...]
    n_answers: int
    n_learners: int
    n_unchanged: int
    written: Written


def run_kpi_batch(
    connection: Connection, job: KpiJob, buckets: Buckets, context: int, *, dry_run: bool, full: bool
) -> KpiBatch:
    """Bring a batch's rows up to date within the caller's transaction, which should see one moment.

    With `full` whatever was noted of earlier runs does not count. With `dry_run` nothing is written.
    """
    days = learner_days(connection, job.scope, buckets)
    users = _active(days, job)
    abilities = abilities_as_of(connection, users, [week.as_of for week in job.weeks])
    goals = load_goals(connection, users)
    digests = _digests(days, users, abilities, goals, job, context)
    known = load_digests(connection, STAGE, buckets, job.weeks[0].week_start, job.weeks[1].week_start)
    todo = digests if full else changed(digests, known)
    stale = gone(digests, known)
    wanted = todo["user_id"].unique()
    some = wanted if 2 * len(wanted) < len(users) else None
    answers = read_answers(connection, job.scope, buckets, _NO_TOPICS, some)
    result = weekly_kpis(
        answers,
        job.date,
        items=job.fit.items,
        prior=job.fit.prior,
        abilities=abilities,
        goals=goals,
        default_target=job.settings.metrics_default_target,
        churn_horizon_days=job.settings.metrics_churn_horizon_days,
        lookback_days=job.settings.kpi_lookback_days,
        repeats=job.settings.mirt_repeats,
        only=todo.select("user_id", week_start="date"),
    )
    written = Written()
    if not dry_run:
        written = write_kpis(connection, result.rows, stale.rename({"date": "week_start"}))
        failed = pl.Series("user_id", [failure.user_id for failure in result.failures], dtype=pl.String)
        is_failed = pl.col("user_id").is_in(failed.implode())
        store_digests(connection, STAGE, todo.filter(~is_failed))
        forget_digests(connection, STAGE, pl.concat([stale, todo.filter(is_failed).select(stale.columns)]))
    return KpiBatch(
        result.rows, result.failures, answers.height, len(users), digests.height - todo.height, written
    )


# KPIs do not look at topics.
_NO_TOPICS = pl.DataFrame(schema={"item_id": pl.String, "question_topic": pl.String})


def _active(days: pl.DataFrame, job: KpiJob) -> pl.Series:
    first = first_day(job.date, job.settings.kpi_lookback_days)
    return days.filter(pl.col("date") >= first)["user_id"].unique().sort()


def _digests(
    days: pl.DataFrame,
    users: pl.Series,
    abilities: pl.DataFrame,
    goals: pl.DataFrame,
    job: KpiJob,
    context: int,
) -> pl.DataFrame:
    """Return the digest of every learner's row of each week: of answers, ability and goals."""
    targets = goal_evidence(goals)
    frames = []
    for week in job.weeks:
        rows = users.to_frame().with_columns(date=pl.lit(week.week_start), last_day=pl.lit(week.as_of))
        for part in (ability_evidence(abilities, week.as_of), targets):
            rows = rows.join(part, on="user_id", how="left", maintain_order="left")
        frames.append(window_digests(days, rows, ACTIVITY_DAYS, context))
    return pl.concat(frames)
