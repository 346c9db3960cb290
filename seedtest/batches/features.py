"""Topic features of a batch of learners: found out of date, computed, written with their digests."""

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
    """What became of a batch: the rows computed, and how many learners' days needed nothing."""

    rows: pl.DataFrame
    n_answers: int
    n_without_topic: int
    n_unchanged: int
    written: Written


def run_feature_batch(
    connection: Connection, job: FeatureJob, buckets: Buckets, context: int, *, dry_run: bool, full: bool
) -> FeatureBatch:
    """Bring a batch's rows up to date within the caller's transaction, which should see one moment.

    With `full` whatever was noted of earlier runs does not count. With `dry_run` nothing is written.
    """
    days = learner_days(connection, job.scope, buckets)
    in_range = on_days(days, job.first_day, job.last_day)
    digests = window_digests(days, in_range.with_columns(last_day="date"), NEEDS_DAYS_BEFORE + 1, context)
    known = load_digests(connection, STAGE, buckets, job.first_day, job.last_day)
    todo = digests if full else changed(digests, known)
    stale = gone(digests, known)
    answers = read_answers(connection, job.scope, buckets, job.topics, _users(todo, days))
    result = topic_features(
        answers,
        job.first_day,
        job.last_day,
        items=job.fit.items,
        prior=job.fit.prior,
        repeats=job.repeats,
        only=todo,
    )
    written = Written()
    if not dry_run:
        written = write_features(connection, result.rows, pl.concat([todo.select(stale.columns), stale]))
        store_digests(connection, STAGE, todo)
        forget_digests(connection, STAGE, stale)
    return FeatureBatch(
        result.rows, answers.height, result.n_without_topic, digests.height - todo.height, written
    )


def _users(todo: pl.DataFrame, days: pl.DataFrame) -> pl.Series | None:
    """Return the learners to read, or None for all: a list of most of them would only be in the way."""
    users = todo["user_id"].unique()
    return users if 2 * len(users) < days["user_id"].n_unique() else None
