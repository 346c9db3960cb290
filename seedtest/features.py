"""A learner's days in each topic (domain §4): the rows of `features_topic_daily`."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from seedtest.evidence import improvement_evidence
from seedtest.irt import ItemParameters, Prior
from seedtest.kpis import improvement
from seedtest.settings import Repeats
from seedtest.theta import TOPIC_THETA_DAYS, window_theta
from seedtest.windows import ATTEMPTS, DAY, conform, within

NEEDS_DAYS_BEFORE = TOPIC_THETA_DAYS - 1
"""Days of answers before the first day that its θ needs."""

KEY = ("user_id", "topic_id", "date")


@dataclass(frozen=True)
class FeatureResult:
    """`rows`: the columns of `features_topic_daily` without computed_at, sorted by key; and what is left out.

    `n_without_topic` counts the answers of the range that belong to no topic.
    """

    rows: pl.DataFrame
    n_without_topic: int


def topic_features(
    attempts: pl.DataFrame,
    first_day: dt.date,
    last_day: dt.date,
    *,
    items: ItemParameters,
    prior: Prior,
    repeats: Repeats,
    only: pl.DataFrame | None = None,
) -> FeatureResult:
    """Compute the features of every learner's day in a topic from `first_day` to `last_day`, inclusive.

    A row depends on its learner's answers in its topic up to the end of its day and on the fit in force,
    not on the range asked for: nightly runs and a backfill give equal bytes. A day without an answer in
    the topic has no row.

    Parameters
    ----------
    attempts
        Answers of schema `ATTEMPTS` from NEEDS_DAYS_BEFORE days before `first_day` to `last_day`;
        others are ignored.
    first_day, last_day
        UTC days, both included.
    items, prior
        Of the fit in force.
    repeats
        Which answers to one item count for θ; all other columns count every answer.
    only
        The learners' days to compute, user_id and date; all of the range where not given.

    Returns
    -------
    FeatureResult
        `theta_estimate` and `theta_sd` (EAP and its SE, logits) rest on the topic's answers of the 60 days
        up to the row's day and are null without one that counts; `improvement` is I_t within the topic;
        the columns of one day are those of `_day_in_topic`.
    """
    answers = conform(attempts, ATTEMPTS).with_columns(date=DAY)
    in_range = within(answers, first_day, last_day)
    in_topics = answers.filter(pl.col("topic_id").is_not_null())
    wanted = within(in_topics, first_day, last_day)
    if only is not None:
        users = pl.col("user_id").cast(wanted.schema["user_id"], strict=False)
        wanted = wanted.join(only.select(users, "date"), on=["user_id", "date"], how="semi")
    days = _day_in_topic(wanted)
    keys = ["user_id", "topic_id"]
    last = pl.col("date")
    windows = days.select(*KEY, first_day=last - pl.duration(days=TOPIC_THETA_DAYS - 1), last_day=last)
    thetas = window_theta(in_topics, windows, items, prior, repeats, by=keys)
    gains = improvement_evidence(
        in_topics, days.select(*keys, as_of="date"), items, prior, repeats, by=keys
    ).select(improvement=improvement())
    estimates = thetas.select(theta_estimate="theta", theta_sd="se")
    rows = pl.concat([days, estimates, gains], how="horizontal")
    rows = rows.with_columns(pl.col("user_id", "topic_id").cast(pl.String))
    return FeatureResult(rows, in_range["topic_id"].null_count())


def _day_in_topic(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the plain counts of each learner's day in a topic, sorted by key.

    `hints` counts answers known to have used a hint. `avg_time_ms` and `rt_median` are the mean and the
    continuous median of the known response times, rounded to whole ms, halves up; null when none is known.
    """
    ms = pl.col("response_time_ms").cast(pl.Int64)
    return (
        answers.group_by(KEY)
        .agg(
            attempts=pl.len().cast(pl.Int64),
            correct=pl.col("correct").sum().cast(pl.Int64),
            # Whole numbers all the way: a float mean could fall on the other side of a half.
            avg_time_ms=pl.when(ms.count() > 0).then((2 * ms.sum() + ms.count()) // (2 * ms.count())),
            rt_median=(ms.median() + 0.5).floor().cast(pl.Int64),
            hints=pl.col("hint_used").sum().cast(pl.Int64),
            last_seen_at=pl.col("completed_at").max(),
        )
        .sort(KEY)
    )
