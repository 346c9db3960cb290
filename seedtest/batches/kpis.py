"""Weekly KPIs: found out of date for a range of learners, computed and written in parts."""

import datetime as dt
from dataclasses import dataclass

import polars as pl
from sqlalchemy.engine import Connection

from seedtest.batches.digests import KEY, changed, context_digest, fit_digest, gone, window_digests
from seedtest.batches.plans import Part, Plan, cut
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
class KpiPart:
    """Rows that are worked on at a time (`date` is their week's first day), and what else they need."""

    rows: Part
    abilities: pl.DataFrame
    goals: pl.DataFrame


@dataclass(frozen=True)
class KpiBatch:
    """What became of a part: the rows computed and written, and the learners that failed."""

    rows: pl.DataFrame
    failures: tuple[UserFailure, ...]
    n_answers: int
    written: Written


def plan_kpis(
    connection: Connection, job: KpiJob, buckets: Buckets, context: int, *, most_answers: int, full: bool
) -> Plan[KpiPart]:
    """Find the rows of a range of learners that are out of date, in parts of so many answers.

    With `full` whatever was noted of earlier runs does not count.
    """
    days = learner_days(connection, job.scope, buckets)
    users = _active(days, job)
    abilities = abilities_as_of(connection, users, [week.as_of for week in job.weeks])
    goals = load_goals(connection, users)
    digests = _digests(days, users, abilities, goals, job, context)
    known = load_digests(connection, STAGE, buckets, job.weeks[0].week_start, job.weeks[1].week_start)
    todo = digests if full else changed(digests, known)
    parts = cut(buckets, days, todo, gone(digests, known), most_answers)
    with_more = [
        KpiPart(part, *(frame.join(part.todo, on="user_id", how="semi") for frame in (abilities, goals)))
        for part in parts
    ]
    return Plan(with_more, len(users), digests.height - todo.height)


def run_kpi_part(connection: Connection, job: KpiJob, part: KpiPart, *, dry_run: bool) -> KpiBatch:
    """Compute and write a part's rows within the caller's transaction, which should see one moment.

    Answers that came since the part was planned count; the digest noted is the older one, so that the next
    run computes the row once more. With `dry_run` nothing is written.
    """
    rows = part.rows
    answers = read_answers(connection, job.scope, rows.buckets, _NO_TOPICS, rows.users)
    result = weekly_kpis(
        answers,
        job.date,
        items=job.fit.items,
        prior=job.fit.prior,
        abilities=part.abilities,
        goals=part.goals,
        default_target=job.settings.metrics_default_target,
        churn_horizon_days=job.settings.metrics_churn_horizon_days,
        lookback_days=job.settings.kpi_lookback_days,
        repeats=job.settings.mirt_repeats,
        only=rows.todo.select("user_id", week_start="date"),
    )
    written = Written()
    if not dry_run:
        written = write_kpis(connection, result.rows, rows.stale.rename({"date": "week_start"}))
        failed = pl.Series("user_id", [failure.user_id for failure in result.failures], dtype=pl.String)
        is_failed = pl.col("user_id").is_in(failed.implode())
        store_digests(connection, STAGE, rows.todo.filter(~is_failed))
        forget_digests(connection, STAGE, pl.concat([rows.stale, rows.todo.filter(is_failed).select(KEY)]))
    return KpiBatch(result.rows, result.failures, answers.height, written)


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
