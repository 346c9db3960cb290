"""What a learner's answers, abilities and goals say: the columns that the KPI formulas are written in.

Each function returns one row a learner (or learner and topic) that has such evidence; what is absent
stays null, and `seedtest.kpis` says what a null means for a KPI. Counts and times are summed as
integers, so that no result depends on the order of the rows.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from seedtest.irt import ItemParameters, Prior
from seedtest.settings import Repeats
from seedtest.theta import window_theta
from seedtest.windows import DAY, Frame, first_day, within

IMPROVEMENT_DAYS = 14
"""Length of each of I_t's two windows."""
COMPARISON_DAYS = 28
"""Length of each of the two windows of E_t and of R_t."""
ENGAGEMENT_DAYS = 28
"""Length of A_t's window, and the sessions in it at which A_t's first term is full."""
ACTIVITY_DAYS = 56
"""Length of S's window, and of the history that all KPIs of one day need."""

ABILITIES: Mapping[str, pl.DataType] = {
    "user_id": pl.String(),
    "theta": pl.Float64(),
    "se": pl.Float64(),
    "as_of": pl.Datetime("us", "UTC"),
    "fitted_at": pl.Datetime("us", "UTC"),
}
"""The history of abilities (`mirt_ability`) that P reads; `se` may be null."""

GOALS: Mapping[str, pl.DataType] = {
    "user_id": pl.String(),
    "topic_id": pl.String(),
    "target_level": pl.Float64(),
    "priority": pl.Int64(),
}
"""Learners' goals (`interest_goal`); `target_level` and `priority` may be null."""

MICROSECONDS_PER_DAY = 86_400_000_000

RECENT = pl.col("age_days") < COMPARISON_DAYS
"""The rows of the later window of E_t and R_t."""
EARLIER = pl.col("age_days").is_between(COMPARISON_DAYS, 2 * COMPARISON_DAYS - 1)
"""The rows of their window before."""


def history(attempts: Frame, as_of: dt.date) -> Frame:
    """Return the answers of the 56 days up to `as_of`, with `age_days`: 0 on `as_of` itself."""
    last_days = within(attempts, first_day(as_of, ACTIVITY_DAYS), as_of)
    return last_days.with_columns(age_days=(pl.lit(as_of) - DAY).dt.total_days())


def improvement_evidence(
    attempts: pl.DataFrame,
    rows: pl.DataFrame,
    items: ItemParameters,
    prior: Prior,
    repeats: Repeats,
    *,
    by: Sequence[str],
) -> pl.DataFrame:
    """Return what I_t compares for each row of `rows` (`by`, as_of): its last 14 days and the 14 before.

    `theta_*`, `se_*` (logits) and `n_theta_*` are of the window's EAP, where n_theta counts the answers
    that the EAP used: chosen by MIRT_REPEATS, on calibrated items. `n_*` and `n_correct_*` count all
    answers of the window, repeats included.
    """
    keys = rows.select(*by, "as_of")
    windows = pl.concat([_windows(keys, age_days) for age_days in (0, IMPROVEMENT_DAYS)])
    both = window_theta(attempts, windows, items, prior, repeats, by=by)
    thetas = [
        both.slice(start, len(keys)).select(
            pl.col("theta", "se").name.suffix(f"_{name}"), pl.col("n").alias(f"n_theta_{name}")
        )
        for name, start in (("recent", 0), ("prev", len(keys)))
    ]
    counts = _answer_counts(attempts, keys, by)
    with_theta = pl.concat([keys, *thetas], how="horizontal")
    return with_theta.join(counts, on=[*by, "as_of"], how="left", maintain_order="left")


def _windows(keys: pl.DataFrame, age_days: int) -> pl.DataFrame:
    """Return the windows of 14 days that end `age_days` before each row's as_of."""
    last = pl.col("as_of") - pl.duration(days=age_days)
    return keys.with_columns(first_day=last - pl.duration(days=IMPROVEMENT_DAYS - 1), last_day=last)


def _answer_counts(attempts: pl.DataFrame, keys: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    age_days = (pl.col("as_of") - pl.col("day")).dt.total_days()
    recent = age_days < IMPROVEMENT_DAYS
    daily = (
        attempts.lazy()
        .group_by(*by, day=DAY)
        .agg(n=pl.len().cast(pl.Int64), n_correct=pl.col("correct").sum())
    )
    return (
        daily.join(keys.lazy(), on=list(by))
        .filter(age_days.is_between(0, 2 * IMPROVEMENT_DAYS - 1))
        .group_by(*by, "as_of")
        .agg(
            pl.col("n", "n_correct").filter(recent).sum().name.suffix("_recent"),
            pl.col("n", "n_correct").filter(~recent).sum().name.suffix("_prev"),
        )
        .collect()
    )


def efficiency_evidence(answers: Frame) -> Frame:
    """Return the medians of E_t over a history: `median_ms_recent` and `median_ms_prev` (ms).

    The continuous median of the known response times of correct answers.
    """
    ms, correct = pl.col("response_time_ms"), pl.col("correct")
    return answers.group_by("user_id").agg(
        median_ms_recent=ms.filter(correct & RECENT).median(),
        median_ms_prev=ms.filter(correct & EARLIER).median(),
    )


def recovery_evidence(answers: Frame) -> Frame:
    """Return R_t's counts over a history: `n_retried` and, of these, `n_recovered` (correct).

    A retry is an answer of the last 28 days to an item answered wrong at least once in the 28 before.
    """
    missed = answers.filter(EARLIER & ~pl.col("correct"))
    retried = answers.filter(RECENT).join(missed, on=["user_id", "item_id"], how="semi")
    return retried.group_by("user_id").agg(n_retried=pl.len(), n_recovered=pl.col("correct").sum())


def sessions(answers: Frame) -> Frame:
    """Return one row a session: its time, and the sum of its known response times.

    `ended_at` is the latest completed_at of its answers (they normally share one); `known_ms` is null
    when no response time is known.
    """
    ms = pl.col("response_time_ms").cast(pl.Int64)
    return answers.group_by("user_id", "session_id").agg(
        ended_at=pl.col("completed_at").max(),
        known_ms=pl.when(ms.count() > 0).then(ms.sum()),
    )


def engagement_evidence(answers: Frame) -> Frame:
    """Return A_t's evidence over the last ENGAGEMENT_DAYS days of a history.

    `n_sessions`; `mean_gap_days`, the mean of the fractional days between consecutive distinct session
    times, null below two of them; `mean_hints` an answer whose hints are known; `mean_session_secs` of
    the sessions with a known response time.
    """
    recent = answers.filter(pl.col("age_days") < ENGAGEMENT_DAYS)
    at, known_ms = pl.col("ended_at"), pl.col("known_ms")
    # The gaps between the first and the last time add up to their distance.
    gap_days = (at.max() - at.min()).dt.total_microseconds() / ((at.n_unique() - 1) * MICROSECONDS_PER_DAY)
    by_session = (
        sessions(recent)
        .group_by("user_id")
        .agg(
            n_sessions=pl.len(),
            mean_gap_days=pl.when(at.n_unique() > 1).then(gap_days),
            mean_session_secs=pl.when(known_ms.count() > 0).then(known_ms.sum() / (known_ms.count() * 1000)),
        )
    )
    hints = pl.col("hints").cast(pl.Int64)
    by_answer = recent.group_by("user_id").agg(
        mean_hints=pl.when(hints.count() > 0).then(hints.sum() / hints.count())
    )
    return by_session.join(by_answer, on="user_id")


def activity_evidence(answers: Frame) -> Frame:
    """Return S's evidence over a history: `days_since_last`, `mean_gap_dates`, `n_active_sessions`.

    All in whole dates. `mean_gap_dates` is the days from the first to the last session's date over the
    number of sessions less one; null with a single session.
    """
    date = pl.col("ended_at").dt.date()
    span_days = (date.max() - date.min()).dt.total_days()
    by_session = (
        sessions(answers)
        .group_by("user_id")
        .agg(
            n_active_sessions=pl.len(),
            mean_gap_dates=pl.when(pl.len() > 1).then(span_days / (pl.len() - 1)),
        )
    )
    last = answers.group_by("user_id").agg(days_since_last=pl.col("age_days").min())
    return by_session.join(last, on="user_id")


def ability_evidence(abilities: Frame, as_of: dt.date) -> Frame:
    """Return `theta` and `se` of each learner's newest ability whose as_of is no later than the day.

    Of rows with one as_of the one fitted last; should two of these remain, the one with the larger θ,
    so that the answer does not depend on the order of the rows.
    """
    known = abilities.filter(pl.col("as_of").dt.date() <= as_of)
    ordered = known.sort("as_of", "fitted_at", "theta", "se")
    return ordered.unique("user_id", keep="last").select("user_id", "theta", "se")


def goal_evidence(goals: pl.DataFrame) -> pl.DataFrame:
    """Return each learner's `target` (θ scale) and the `lowest_priority` behind it.

    The mean of the goals' target_level weighted by priority + 1. An unknown priority is the database's
    default, 0; goals without a target_level say nothing of θ and are left out.
    """
    weight = pl.col("priority").fill_null(0) + 1
    level = pl.col("target_level")
    return (
        goals.filter(level.is_not_null())
        .sort("user_id", "topic_id")  # a fixed order of summation
        .group_by("user_id", maintain_order=True)
        .agg(
            target=(level * weight).sum() / weight.sum(),
            lowest_priority=pl.col("priority").fill_null(0).min(),
        )
    )
