"""What the answers of many learners say at the end of a week, a row a learner and topic, day or week.

A learner's rows depend on that learner's answers alone, to the last bit, whoever else is in the batch.
"""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from reports.bank import Bank
from reports.model import AbilitySource
from reports.period import Period
from seedtest.evidence import COMPARISON_DAYS, improvement_evidence
from seedtest.kpis import MIN_ANSWERS_FOR_THETA, improvement
from seedtest.settings import Repeats
from seedtest.theta import topic_abilities, window_theta
from seedtest.windows import DAY, first_day, within

WEEK = pl.col("completed_at").dt.truncate("1w").dt.date()
"""The Monday of an answer's week."""

Z_95 = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution."""

_MS = pl.col("response_time_ms").cast(pl.Int64)


def ability_points(
    answers: pl.DataFrame, abilities: pl.DataFrame, period: Period, bank: Bank, repeats: Repeats
) -> pl.DataFrame:
    """Return θ by learner and week, on the bank's scale: the stored one or, where newer, the answers' own.

    The answers' own is the EAP of all loaded answers up to the week's end, for weeks with an answer that
    counts. Both of one newest answer: the stored one. Older rows than the eight weeks keep their week.
    """
    weeks = pl.DataFrame({"week_start": period.weeks}, schema={"week_start": pl.Date})
    windows = (
        answers.select("user_id")
        .unique(maintain_order=True)
        .join(weeks, how="cross")
        .with_columns(
            first_day=pl.lit(period.answers.first_day), last_day=pl.col("week_start") + pl.duration(days=6)
        )
    )
    scored = window_theta(answers, windows, bank.items, bank.prior, repeats, by=["user_id"])
    estimated = scored.filter(
        pl.col("newest_at").dt.date() > pl.col("last_day") - pl.duration(days=7)
    ).select(
        "user_id",
        "theta",
        "se",
        model=pl.lit(bank.model),
        source=pl.lit(AbilitySource.ANSWERS.value),
        as_of="newest_at",
        is_stored=pl.lit(value=False),
    )
    stored = abilities.filter(pl.col("version") == bank.version).drop("version")
    return (
        pl.concat([estimated, stored.with_columns(is_stored=pl.lit(value=True))], how="vertical")
        .with_columns(week_start=pl.col("as_of").dt.truncate("1w").dt.date())
        .sort("user_id", "as_of", "is_stored")
        .unique(["user_id", "week_start"], keep="last", maintain_order=True)
    )


def topic_rows(answers: pl.DataFrame, period: Period, bank: Bank, repeats: Repeats) -> pl.DataFrame:
    """Return the columns of `model.Topic` by learner and topic, the most practised first."""
    in_topics = answers.filter(pl.col("topic_id").is_not_null())
    counts = _topic_counts(within(in_topics, period.first_day, period.week_end), period)
    keys = ["user_id", "topic_id"]
    thetas = topic_abilities(in_topics, period.week_end, bank.items, bank.prior, repeats).drop("as_of")
    rows = counts.select(*keys, as_of=pl.lit(period.week_end))
    gains = improvement_evidence(in_topics, rows, bank.items, bank.prior, repeats, by=keys)
    return (
        counts.hstack(gains.select(improvement=improvement()))
        .join(thetas, on=keys, how="left", maintain_order="left")
        .with_columns(pl.col("n").fill_null(0))
        .sort("user_id", "attempts", "topic_id", descending=[False, True, False])
    )


def pace_rows(
    answers: pl.DataFrame, period: Period, bank: Bank, repeats: Repeats, *, by: Sequence[str]
) -> pl.DataFrame:
    """Return `shown_per_week` and `shown_se` by key: how θ grew between the last two windows of 28 days.

    (θ_recent − θ_prev)/4 logits a week, as their middles lie four weeks apart, with the standard error
    √(se_recent² + se_prev²)/4; no row unless each window has as many counted answers as I_t asks for.
    """
    keys = answers.select(by).unique(maintain_order=True)
    recent, prev = (
        window_theta(
            answers,
            keys.with_columns(first_day=pl.lit(first_day(last, COMPARISON_DAYS)), last_day=pl.lit(last)),
            bank.items,
            bank.prior,
            repeats,
            by=by,
        )
        for last in (period.week_end, period.week_end - dt.timedelta(days=COMPARISON_DAYS))
    )
    weeks = COMPARISON_DAYS / 7
    both = keys.with_columns(
        shown_per_week=(recent["theta"] - prev["theta"]) / weeks,
        shown_se=(recent["se"] ** 2 + prev["se"] ** 2).sqrt() / weeks,
    )
    enough = (recent["n"] >= MIN_ANSWERS_FOR_THETA) & (prev["n"] >= MIN_ANSWERS_FOR_THETA)
    return both.filter(enough)


def _topic_counts(answers: pl.DataFrame, period: Period) -> pl.DataFrame:
    n, right = pl.col("attempts"), pl.col("correct")
    return (
        answers.group_by("user_id", "topic_id")
        .agg(
            attempts=pl.len().cast(pl.Int64),
            attempts_this_week=(period.week_start <= DAY).sum().cast(pl.Int64),
            correct=pl.col("correct").sum().cast(pl.Int64),
            rt_median_ms=_MS.median(),
            last_answered_at=pl.col("completed_at").max(),
        )
        .sort("user_id", "topic_id")
        .with_columns(
            accuracy=right / n,
            accuracy_low=wilson_bound(right, n, -1),
            accuracy_high=wilson_bound(right, n, 1),
        )
    )


def wilson_bound(successes: pl.Expr, n: pl.Expr, side: int) -> pl.Expr:
    """Return a bound of the 95 % interval of a proportion, the lower for `side` −1, the upper for 1.

    (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n) (Wilson, 1927), for n ≥ 1.
    """
    p, z2 = successes / n, Z_95**2
    spread = Z_95 * (p * (1 - p) / n + z2 / (4 * n**2)).sqrt()
    bound = ((p + z2 / (2 * n) + side * spread) / (1 + z2 / n)).clip(0, 1)
    # Rounding may put the bound of none or all right a hair on the wrong side.
    return pl.max_horizontal(bound, p) if side > 0 else pl.min_horizontal(bound, p)


def day_rows(answers: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Return date, attempts, correct and the sum of known times, `known_ms`, of each day with an answer."""
    return (
        within(answers, period.first_day, period.week_end)
        .group_by("user_id", date=DAY)
        .agg(attempts=pl.len(), correct=pl.col("correct").sum(), known_ms=_MS.sum())
        .sort("user_id", "date")
    )


def response_time_rows(answers: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Return the median and the quartiles (continuous) of the known times of each week's right answers."""
    timed = pl.col("correct") & pl.col("response_time_ms").is_not_null()
    return (
        within(answers, period.first_day, period.week_end)
        .filter(timed)
        .group_by("user_id", week_start=WEEK)
        .agg(
            n=pl.len(),
            median_ms=_MS.median(),
            q1_ms=_MS.quantile(0.25, "linear"),
            q3_ms=_MS.quantile(0.75, "linear"),
        )
        .sort("user_id", "week_start")
    )


def week_rows(answers: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Return counts and `known_ms` of each learner's week with an answer."""
    return (
        within(answers, period.week_start, period.week_end)
        .group_by("user_id")
        .agg(
            attempts=pl.len(),
            correct=pl.col("correct").sum(),
            sessions=pl.col("session_id").n_unique(),
            active_days=DAY.n_unique(),
            known_ms=_MS.sum(),
        )
        .sort("user_id")
    )


def answer_span_rows(answers: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Return the times of each learner's first and last answer of the eight weeks."""
    at = pl.col("completed_at")
    in_weeks = within(answers, period.first_day, period.week_end)
    spans = in_weeks.group_by("user_id").agg(first_answer_at=at.min(), last_answer_at=at.max())
    return spans.sort("user_id")


def rows_without_topic(answers: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Return `n`, the answers of the eight weeks that belong to no topic, for learners with such answers."""
    in_weeks = within(answers, period.first_day, period.week_end)
    return in_weeks.filter(pl.col("topic_id").is_null()).group_by("user_id").len("n").sort("user_id")


def item_rows(answers: pl.DataFrame, period: Period, bank: Bank) -> pl.DataFrame:
    """Return each item that a learner answered in the eight weeks, by its last answer.

    `item` is its place in the bank, −1 for an item without parameters.
    """
    at = bank.items.index_of(answers["item_id"])
    return (
        answers.with_columns(item=pl.Series(at, dtype=pl.Int32))
        .filter(DAY.is_between(period.first_day, period.week_end))
        .group_by("user_id", "item_id", maintain_order=True)
        .agg(
            pl.col("item").first(),
            pl.col("topic_id", "correct").last(),
            answered_at=pl.col("completed_at").last(),
            n_answers=pl.len(),
        )
        .sort("user_id", "item_id")
    )
