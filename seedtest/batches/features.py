"""Topic features: found out of date for a range of learners, computed and written in parts."""

import datetime as dt
from dataclasses import dataclass

import polars as pl
from sqlalchemy.engine import Connection

from seedtest.batches.digests import (
    changed,
    context_digest,
    fit_digest,
    gone,
    on_days,
    topics_digest,
    window_digests,
)
from seedtest.batches.plans import Part, Plan, cut
from seedtest.db.attempts import Scope
from seedtest.db.buckets import Buckets
from seedtest.db.digests import forget_digests, load_digests, store_digests
from seedtest.db.frames import Written
from seedtest.db.packed_answers import learner_days, read_answers
from seedtest.db.results import write_features
from seedtest.features import NEEDS_DAYS_BEFORE, topic_features
from seedtest.scale import Fit
from seedtest.settings import Repeats
from seedtest.windows import first_day

STAGE = "aggregate-features-daily"


@dataclass(frozen=True)
class FeatureJob:
    """What all batches of a run have in common: the days to compute, and what scores answers."""

    first_day: dt.date
    last_day: dt.date
    fit: Fit
    topics: pl.DataFrame
    repeats: Repeats

    @property
    def scope(self) -> Scope:
        """The days whose answers the rows need."""
        return Scope(first_day(self.first_day, NEEDS_DAYS_BEFORE + 1), self.last_day)

    @property
    def context(self) -> int:
        """The digest of what decides about all rows."""
        fit = fit_digest(self.fit.items, self.fit.prior)
        return context_digest(STAGE, fit, topics_digest(self.topics), self.repeats)


@dataclass(frozen=True)
class FeatureBatch:
    """What became of a part: the rows computed and written."""

    rows: pl.DataFrame
    n_answers: int
    n_without_topic: int
    written: Written


def plan_features(
    connection: Connection, job: FeatureJob, buckets: Buckets, context: int, *, most_answers: int, full: bool
) -> Plan[Part]:
    """Find the rows of a range of learners that are out of date, in parts of so many answers.

    With `full` whatever was noted of earlier runs does not count.
    """
    days = learner_days(connection, job.scope, buckets)
    in_range = on_days(days, job.first_day, job.last_day)
    digests = window_digests(days, in_range.with_columns(last_day="date"), NEEDS_DAYS_BEFORE + 1, context)
    known = load_digests(connection, STAGE, buckets, job.first_day, job.last_day)
    todo = digests if full else changed(digests, known)
    parts = cut(buckets, days, todo, gone(digests, known), most_answers)
    return Plan(parts, in_range["user_id"].n_unique(), digests.height - todo.height)


def run_feature_part(connection: Connection, job: FeatureJob, part: Part, *, dry_run: bool) -> FeatureBatch:
    """Compute and write a part's rows within the caller's transaction, which should see one moment.

    Answers that came since the part was planned count; the digest noted is the older one, so that the next
    run computes the row once more. With `dry_run` nothing is written.
    """
    answers = read_answers(connection, job.scope, part.buckets, job.topics, part.users)
    result = topic_features(
        answers,
        job.first_day,
        job.last_day,
        items=job.fit.items,
        prior=job.fit.prior,
        repeats=job.repeats,
        only=part.todo,
    )
    written = Written()
    if not dry_run:
        written = write_features(connection, result.rows, part.keys)
        store_digests(connection, STAGE, part.todo)
        forget_digests(connection, STAGE, part.stale)
    return FeatureBatch(result.rows, answers.height, result.n_without_topic, written)
