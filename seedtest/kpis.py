"""The six weekly KPIs of a learner (domain §3): one function a formula, and `weekly_kpis` over all.

A formula is a polars expression over columns that `seedtest.evidence` describes; each is pinned by a
test of its name in tests/test_kpis.py. A KPI without data is null, never 0.
"""

import datetime as dt
import math
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
from scipy.special import ndtr

from seedtest import evidence
from seedtest.errors import ConfigurationError
from seedtest.failures import Bound, UserFailure, isolate, split_by_bounds
from seedtest.irt import ItemParameters, Prior
from seedtest.settings import Repeats
from seedtest.windows import ATTEMPTS, KpiWeek, conform, first_day, kpi_weeks, within

NEEDS_DAYS = evidence.ACTIVITY_DAYS + 7
"""Days of answers up to `date` that both rows need: the last completed week ends up to 7 days earlier."""

MIN_ANSWERS_FOR_THETA = 5
"""I_t compares θ only when each of its windows has so many answers that count."""
ANSWERS_FOR_FULL_CREDIT = 30
"""I_t is in proportion to the recent answers up to so many."""

KPI_BOUNDS = (
    Bound("I_t", "answers and the item parameters", low=-1, high=1),
    Bound("E_t", "response times", low=0, high=1),
    Bound("R_t", "answers", low=0, high=1),
    Bound("A_t", "sessions, hints and response times", low=0, high=1),
    Bound("P", "ability and goals", low=0, high=1),
    Bound("S", "sessions", low=0, high=1),
)
KPIS = tuple(bound.column for bound in KPI_BOUNDS)

INPUT_BOUNDS = (
    Bound("theta", "rows of mirt_ability"),
    Bound("se", "rows of mirt_ability"),
    Bound("lowest_priority", "priority in interest_goal", low=0),
    Bound("target", "target_level in interest_goal"),
)


@dataclass(frozen=True)
class KpiResult:
    """`rows`: user_id, week_start, as_of and the six KPIs, sorted; and the learners left out."""

    rows: pl.DataFrame
    failures: tuple[UserFailure, ...]


# -- the formulas ----------------------------------------------------------------------------------


def improvement() -> pl.Expr:
    """Return I_t in [−1, 1]: the gain of the last 14 days over the 14 before, of θ or else of accuracy.

    gain · min(1, n_recent/30) · (1 − min(0.5, 1.96·SE)). By θ when each window has at least 5 answers
    that count on calibrated items; n_recent is then the number of these in the recent window, the
    answers that its θ rests on, and SE that θ's (missing: the last factor is 1). By accuracy over all
    answers otherwise, with SE = √(p(1 − p)/n) of the recent ones. Null when either window is empty.
    """
    n_theta_recent, n_theta_prev = pl.col("n_theta_recent"), pl.col("n_theta_prev")
    n_recent, n_prev = pl.col("n_recent"), pl.col("n_prev")
    p_recent, p_prev = pl.col("n_correct_recent") / n_recent, pl.col("n_correct_prev") / n_prev
    gain_theta = pl.col("theta_recent") - pl.col("theta_prev")
    se_p = (p_recent * (1 - p_recent) / n_recent).sqrt()
    by_theta = gain_theta * _credit(n_theta_recent) * _certainty(pl.col("se_recent"))
    by_accuracy = (p_recent - p_prev) * _credit(n_recent) * _certainty(se_p)
    return (
        pl.when((n_theta_recent >= MIN_ANSWERS_FOR_THETA) & (n_theta_prev >= MIN_ANSWERS_FOR_THETA))
        .then(by_theta)
        .when((n_recent > 0) & (n_prev > 0))
        .then(by_accuracy)
        .clip(-1, 1)
    )


def efficiency() -> pl.Expr:
    """Return E_t in [0, 1]: by which share the median time of correct answers fell, 28 days against 28.

    (median_prev − median_recent)/median_prev; slower is 0. Null if either median is unknown or
    median_prev is not above 0.
    """
    prev, recent = pl.col("median_ms_prev"), pl.col("median_ms_recent")
    return pl.when(prev > 0).then((prev - recent) / prev).clip(0, 1)


def recovery() -> pl.Expr:
    """Return R_t in [0, 1]: the share correct of the last 28 days' answers to items missed in the 28 before.

    Null without such answers.
    """
    n_retried = pl.col("n_retried")
    return pl.when(n_retried > 0).then(pl.col("n_recovered") / n_retried)


def engagement() -> pl.Expr:
    """Return A_t in [0, 1] over 28 days: how often, how regularly, with how few hints and for how long.

    0.35·sessions/28 + 0.25·gap + 0.20·(1 − mean hints/3) + 0.20·mean session seconds/900, each term
    clamped to [0, 1]; gap = 1/mean days between distinct session times. Fewer than two distinct times,
    unknown hints or unknown seconds make their term 0.5. Null without an answer.
    """
    sessions = _unit(_over(pl.col("n_sessions"), evidence.ENGAGEMENT_DAYS))
    gap = _unit(1 / pl.col("mean_gap_days")).fill_null(0.5)
    hints = _unit(1 - _over(pl.col("mean_hints"), 3)).fill_null(0.5)
    seconds = _unit(_over(pl.col("mean_session_secs"), 900)).fill_null(0.5)
    return 0.35 * sessions + 0.25 * gap + 0.20 * hints + 0.20 * seconds


def goal_probability() -> pl.Expr:
    """Return P in [0, 1]: the probability that the learner's θ is at or above the target.

    1 − Φ((target − θ)/se), as Φ((θ − target)/se), which keeps its digits where P is small. Null without
    θ or with an se unknown or not above 0.
    """
    se = pl.col("se")
    z = pl.when(se > 0).then((pl.col("theta") - pl.col("target")) / se)
    return z.map_batches(ndtr, return_dtype=pl.Float64)


def churn_risk(horizon_days: int = 14) -> pl.Expr:
    """Return S in [0, 1] over 56 days: how long ago, how sparse and how few the learner's sessions are.

    0.60·days since the last answer/horizon + 0.25·mean gap in days/7 + 0.15·(1 − sessions/10), each term
    clamped to [0, 1]. With a single session the gap term is 1. Null without activity.
    """
    silence = _unit(_over(pl.col("days_since_last"), horizon_days))
    gap = _unit(_over(pl.col("mean_gap_dates"), 7)).fill_null(1.0)
    rarity = _unit(1 - _over(pl.col("n_active_sessions"), 10))
    return 0.60 * silence + 0.25 * gap + 0.15 * rarity


def _credit(n: pl.Expr) -> pl.Expr:
    return _over(n, ANSWERS_FOR_FULL_CREDIT).clip(upper_bound=1.0)


def _certainty(se: pl.Expr) -> pl.Expr:
    return 1 - (1.96 * se).clip(upper_bound=0.5).fill_null(0.0)


def _over(value: pl.Expr, whole: float) -> pl.Expr:
    # polars divides one row, but multiplies several by the reciprocal: alone, a learner would get another
    # last bit than in company.
    return value * (1 / whole)


def _unit(value: pl.Expr) -> pl.Expr:
    return value.clip(0.0, 1.0)


# -- all learners ----------------------------------------------------------------------------------


def weekly_kpis(  # noqa: PLR0913 - the inputs of §3, each named by its caller
    attempts: pl.DataFrame,
    date: dt.date,
    *,
    items: ItemParameters,
    prior: Prior,
    abilities: pl.DataFrame,
    goals: pl.DataFrame,
    default_target: float = 0.0,
    churn_horizon_days: int = 14,
    lookback_days: int = 56,
    repeats: Repeats = "first",
    only: pl.DataFrame | None = None,
) -> KpiResult:
    """Compute the KPIs of everybody with an answer in the last `lookback_days` days up to `date`.

    Two rows a learner: the running week of `date`, as of `date`, and the last completed one, as of its
    Sunday. A learner with an impossible input or result is a failure and has no row; missing data is
    null and no failure.

    Parameters
    ----------
    attempts
        Answers of schema `ATTEMPTS`, of the last max(NEEDS_DAYS, lookback_days) days up to `date`;
        others are ignored.
    date
        The last UTC day that counts, whole.
    items, prior
        Of the fit in force.
    abilities, goals
        Of schemas `ABILITIES` and `GOALS`, learners without answers included or not.
    default_target
        Target θ (logits) of learners without a goal that names one.
    churn_horizon_days
        Days of silence at which S's first term is full.
    lookback_days
        Days in which a learner must have answered to have rows.
    repeats
        Which answers to one item count for θ; accuracy counts all.
    only
        The rows to compute, user_id and week_start; where not given, both of everybody.

    Raises
    ------
    ConfigurationError
        When `default_target` is not finite or `churn_horizon_days` is not positive.
    """
    if not math.isfinite(default_target) or churn_horizon_days <= 0:
        raise ConfigurationError(
            f"KPIs cannot be computed with the default target {default_target} and the churn horizon "
            f"{churn_horizon_days} days: set METRICS_DEFAULT_TARGET to a finite number and "
            "METRICS_CHURN_HORIZON_DAYS to 1 or more."
        )
    answers = conform(attempts, ATTEMPTS)
    cohort = _Cohort(
        answers,
        _of_users(conform(abilities, evidence.ABILITIES), answers),
        _of_users(evidence.goal_evidence(conform(goals, evidence.GOALS)), answers),
    )
    wanted = None if only is None else _of_users(only, answers)
    parameters = _Parameters(items, prior, repeats, default_target, churn_horizon_days, wanted)
    user_ids = within(cohort.attempts, first_day(date, lookback_days), date)["user_id"].unique().sort()
    measured, raised = isolate(
        user_ids, lambda batch: _measure(batch.to_frame(), cohort, kpi_weeks(date), parameters)
    )
    possible, impossible = split_by_bounds(measured, (*INPUT_BOUNDS, *KPI_BOUNDS))
    failures = sorted((*raised, *impossible), key=lambda failure: failure.user_id)
    rows = possible.select(pl.col("user_id").cast(pl.String), "week_start", "as_of", *KPIS)
    return KpiResult(rows.sort("user_id", "week_start"), tuple(failures))


def _of_users(rows: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Give `user_id` the type it has in `answers`; learners that are no category there have no answers."""
    user_id = pl.col("user_id").cast(answers.schema["user_id"], strict=False)
    return rows.with_columns(user_id).drop_nulls("user_id")


@dataclass(frozen=True)
class _Cohort:
    attempts: pl.DataFrame
    abilities: pl.DataFrame
    targets: pl.DataFrame


@dataclass(frozen=True)
class _Parameters:
    items: ItemParameters
    prior: Prior
    repeats: Repeats
    default_target: float
    churn_horizon_days: int
    only: pl.DataFrame | None

    def learners(self, users: pl.DataFrame, week: KpiWeek) -> pl.DataFrame:
        """Return those of `users` whose row of the week is wanted."""
        if self.only is None:
            return users
        wanted = self.only.filter(pl.col("week_start") == week.week_start)
        return users.join(wanted, on="user_id", how="semi", maintain_order="left")


def _measure(
    users: pl.DataFrame, cohort: _Cohort, weeks: Iterable[KpiWeek], parameters: _Parameters
) -> pl.DataFrame:
    """Return the evidence and the KPIs of each of `users` in each week."""
    wanted = {week: parameters.learners(users, week) for week in weeks}
    gains = evidence.improvement_evidence(
        cohort.attempts,
        pl.concat(learners.with_columns(as_of=pl.lit(week.as_of)) for week, learners in wanted.items()),
        parameters.items,
        parameters.prior,
        parameters.repeats,
        by=["user_id"],
    )
    gathered = [_gather(learners, cohort, week, parameters) for week, learners in wanted.items()]
    rows = pl.concat(gathered).join(gains.lazy(), on=["user_id", "as_of"], how="left").collect()
    # Where both weeks of a learner alone have one value, concat keeps it as a scalar, and polars divides by
    # a scalar as it does in `_over`. Out of series, all columns are columns.
    churn = churn_risk(parameters.churn_horizon_days)
    return pl.DataFrame(rows.get_columns()).with_columns(
        I_t=improvement(), E_t=efficiency(), R_t=recovery(), A_t=engagement(), P=goal_probability(), S=churn
    )


def _gather(users: pl.DataFrame, cohort: _Cohort, week: KpiWeek, parameters: _Parameters) -> pl.LazyFrame:
    """Return one row a learner with the evidence as of the end of the week's `as_of`, but for I_t's."""
    learners = users.lazy()
    attempts, abilities, targets = (
        frame.lazy().join(learners, on="user_id", how="semi")
        for frame in (cohort.attempts, cohort.abilities, cohort.targets)
    )
    answers = evidence.history(attempts, week.as_of)
    rows = learners.with_columns(week_start=pl.lit(week.week_start), as_of=pl.lit(week.as_of))
    for part in (
        evidence.efficiency_evidence(answers),
        evidence.recovery_evidence(answers),
        evidence.engagement_evidence(answers),
        evidence.activity_evidence(answers),
        evidence.ability_evidence(abilities, week.as_of),
        targets,
    ):
        rows = rows.join(part, on="user_id", how="left")
    return rows.with_columns(pl.col("target").fill_null(parameters.default_target))
