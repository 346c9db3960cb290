import datetime as dt
import math
from collections.abc import Mapping

import polars as pl
import pytest

from seedtest import windows
from seedtest.evidence import (
    COMPARISON_DAYS,
    ENGAGEMENT_DAYS,
    efficiency_evidence,
    engagement_evidence,
    history,
    recovery_evidence,
)
from seedtest.kpis import churn_risk, efficiency, engagement, goal_probability, improvement, recovery
from tests import naive
from tests.cohorts import DAY, LAST_INSTANT, THURSDAY, answer, at, attempts_frame, run_kpis


def value(formula: pl.Expr, evidence: Mapping[str, float | None]) -> float | None:
    row = pl.DataFrame(evidence, schema_overrides={k: pl.Float64 for k, v in evidence.items() if v is None})
    result: float | None = row.select(formula).item()
    return result


def kpi(
    answers: list[naive.Answer],
    name: str,
    *,
    date: dt.date = THURSDAY,
    user_id: str = "ann",
    abilities: tuple[naive.Ability, ...] = (),
    goals: tuple[naive.Goal, ...] = (),
) -> float | None:
    """One KPI of the running week."""
    result = run_kpis(naive.Cohort(answers, naive.Fit({}), list(abilities), list(goals)), date)
    assert result.failures == ()
    rows = result.rows.filter(user_id=user_id, as_of=date)
    found: float | None = rows[name].item()
    return found


def ability(
    theta: float, se: float | None, as_of: dt.datetime, fitted_at: dt.datetime | None = None
) -> naive.Ability:
    return naive.Ability("ann", theta, se, as_of, fitted_at or as_of)


# -- I_t -------------------------------------------------------------------------------------------

NO_THETA: dict[str, float | None] = {
    f"{name}_{side}": None for name in ("theta", "se", "n_theta") for side in ("recent", "prev")
}
ACCURACY = NO_THETA | {"n_recent": 20, "n_correct_recent": 10, "n_prev": 20, "n_correct_prev": 5}
THETA = ACCURACY | {
    "theta_recent": 0.2,
    "se_recent": 0.1,
    "n_theta_recent": 10,
    "theta_prev": -0.1,
    "n_theta_prev": 5,
}


def test_improvement_by_accuracy_of_the_specification() -> None:
    assert value(improvement(), ACCURACY) == pytest.approx(0.1301, abs=5e-5)


def test_improvement_by_theta_of_the_specification() -> None:
    assert value(improvement(), THETA) == pytest.approx(0.0804, abs=1e-12)


def test_improvement_by_theta_counts_the_answers_of_theta_not_all() -> None:
    assert value(improvement(), THETA | {"n_recent": 400}) == pytest.approx(0.0804, abs=1e-12)


def test_improvement_by_theta_without_a_standard_error_has_no_penalty() -> None:
    assert value(improvement(), THETA | {"se_recent": None}) == pytest.approx(0.1, abs=1e-12)


@pytest.mark.parametrize("short", ["n_theta_recent", "n_theta_prev"])
def test_improvement_falls_back_to_accuracy_below_five_calibrated_answers(short: str) -> None:
    assert value(improvement(), THETA | {short: 4}) == value(improvement(), ACCURACY)


def test_improvement_gives_full_credit_from_thirty_answers() -> None:
    assert value(improvement(), THETA | {"n_theta_recent": 30}) == pytest.approx(0.3 * 0.804, abs=1e-12)
    assert value(improvement(), THETA | {"n_theta_recent": 90}) == pytest.approx(0.3 * 0.804, abs=1e-12)


def test_improvement_loses_at_most_half_to_uncertainty() -> None:
    assert value(improvement(), THETA | {"se_recent": 0.9, "n_theta_recent": 30}) == pytest.approx(
        0.15, abs=1e-12
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_improvement_is_clamped(sign: int) -> None:
    evidence = THETA | {"theta_recent": 3.0 * sign, "theta_prev": -2.0 * sign, "n_theta_recent": 30}
    assert value(improvement(), evidence) == sign


@pytest.mark.parametrize("side", ["recent", "prev"])
def test_improvement_is_null_when_a_window_is_empty(side: str) -> None:
    assert value(improvement(), ACCURACY | {f"n_{side}": 0, f"n_correct_{side}": 0}) is None


def test_improvement_windows_are_the_last_fourteen_days_and_the_fourteen_before() -> None:
    recent = [answer(at(THURSDAY, LAST_INSTANT)), answer(at(THURSDAY - 13 * DAY, dt.time()))]
    prev = [
        answer(at(THURSDAY - 14 * DAY, LAST_INSTANT), correct=False),
        answer(at(THURSDAY - 27 * DAY, dt.time())),
    ]
    outside = [
        answer(at(THURSDAY + DAY, dt.time()), correct=False),
        answer(at(THURSDAY - 28 * DAY), correct=False),
    ]
    assert kpi(recent + prev + outside, "I_t") == pytest.approx((1.0 - 0.5) * 2 / 30)


# -- E_t -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recent", "prev", "expected"),
    [
        (30_000, 40_000, 0.25),
        (50_000, 40_000, 0.0),
        (0, 40_000, 1.0),
        (5, 0, None),
        (None, 40_000, None),
        (5, None, None),
    ],
)
def test_efficiency_is_the_share_by_which_the_median_time_fell(
    recent: float | None, prev: float | None, expected: float | None
) -> None:
    assert value(efficiency(), {"median_ms_recent": recent, "median_ms_prev": prev}) == expected


def test_efficiency_takes_correct_answers_with_known_times_of_28_days_each() -> None:
    recent, prev, before = THURSDAY - 27 * DAY, THURSDAY - 28 * DAY, THURSDAY - 56 * DAY
    answers = [
        answer(at(recent, dt.time()), ms=10_000),
        answer(at(THURSDAY), ms=20_000),
        answer(at(THURSDAY), ms=90_000, correct=False),
        answer(at(THURSDAY), ms=None),
        answer(at(prev, LAST_INSTANT), ms=20_000),
        answer(at(before + DAY, dt.time()), ms=40_000),
        answer(at(before, LAST_INSTANT), ms=1),
    ]
    assert kpi(answers, "E_t") == pytest.approx((30_000 - 15_000) / 30_000)


# -- R_t -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "recovered", "expected"), [(4, 3, 0.75), (1, 0, 0.0), (0, 0, None), (None, None, None)]
)
def test_recovery_is_the_share_of_retries_that_are_correct(
    n: int | None, recovered: int | None, expected: float | None
) -> None:
    assert value(recovery(), {"n_retried": n, "n_recovered": recovered}) == expected


def test_recovery_retries_what_was_missed_at_least_once_in_the_28_days_before() -> None:
    prev = THURSDAY - 28 * DAY
    answers = [
        answer(at(prev), "Q1", correct=False),
        answer(at(prev - DAY), "Q1", correct=True),
        answer(at(prev), "Q2", correct=True),
        answer(at(THURSDAY - 56 * DAY), "Q3", correct=False),
        answer(at(THURSDAY - 27 * DAY), "Q1", correct=True),
        answer(at(THURSDAY - DAY), "Q1", correct=True),
        answer(at(THURSDAY), "Q1", correct=False),
        answer(at(THURSDAY), "Q2", correct=False),
        answer(at(THURSDAY), "Q3", correct=False),
        answer(at(prev), "Q2", correct=False, user_id="bob"),
    ]
    assert kpi(answers, "R_t") == pytest.approx(2 / 3)
    assert kpi([*answers, answer(at(THURSDAY), "Q9", user_id="bob")], "R_t", user_id="bob") is None


# -- A_t -------------------------------------------------------------------------------------------

ENGAGED: dict[str, float | None] = {
    "n_sessions": 7,
    "mean_gap_days": 4.0,
    "mean_hints": 1.5,
    "mean_session_secs": 450.0,
}


def test_engagement_adds_its_four_terms() -> None:
    assert value(engagement(), ENGAGED) == pytest.approx(0.35 * 0.25 + 0.25 * 0.25 + 0.20 * 0.5 + 0.20 * 0.5)


@pytest.mark.parametrize(
    ("unknown", "weight", "known"),
    [("mean_gap_days", 0.25, 0.25), ("mean_hints", 0.2, 0.5), ("mean_session_secs", 0.2, 0.5)],
)
def test_engagement_takes_one_half_for_what_is_unknown(unknown: str, weight: float, known: float) -> None:
    expected = value(engagement(), ENGAGED)
    assert expected is not None
    assert value(engagement(), ENGAGED | {unknown: None}) == pytest.approx(expected + weight * (0.5 - known))


def test_engagement_clamps_every_term() -> None:
    most = {"n_sessions": 90, "mean_gap_days": 0.01, "mean_hints": 0.0, "mean_session_secs": 5000.0}
    assert value(engagement(), most) == pytest.approx(1.0)
    least = {"n_sessions": 1, "mean_gap_days": 1e9, "mean_hints": 7.0, "mean_session_secs": 0.0}
    assert value(engagement(), least) == pytest.approx(0.35 / 28)


def test_engagement_by_hand_over_three_sessions() -> None:
    answers = [
        answer(at(THURSDAY - 27 * DAY, dt.time()), session_id="s1", ms=60_000, hints=0),
        answer(at(THURSDAY - 27 * DAY, dt.time()), "Q2", session_id="s1", ms=None, hints=3, ordinal=2),
        answer(at(THURSDAY - 26 * DAY, dt.time()), session_id="s2", ms=None, hints=None),
        answer(at(THURSDAY - 24 * DAY, dt.time(12)), session_id="s3", ms=120_000, hints=0),
        answer(at(THURSDAY - 28 * DAY), session_id="s0", ms=900_000, hints=3),
    ]
    gap = 1 / ((1 + 2.5) / 2)
    expected = 0.35 * 3 / 28 + 0.25 * gap + 0.20 * (1 - 1 / 3) + 0.20 * 90 / 900
    assert kpi(answers, "A_t") == pytest.approx(expected, abs=1e-12)


def test_engagement_has_a_window_of_its_own_and_is_full_at_a_session_a_day() -> None:
    ages = range(ENGAGEMENT_DAYS + 1)
    answers = [answer(at(THURSDAY - age * DAY), session_id=f"s{age}") for age in ages]
    row = engagement_evidence(history(attempts_frame(answers), THURSDAY))
    assert row["n_sessions"].to_list() == [ENGAGEMENT_DAYS]
    full, half = (ENGAGED | {"n_sessions": n} for n in (ENGAGEMENT_DAYS, ENGAGEMENT_DAYS / 2))
    assert value(engagement(), full) == pytest.approx((value(engagement(), half) or 0) + 0.35 / 2)


def test_efficiency_and_recovery_compare_two_windows_of_their_own() -> None:
    ages = (0, COMPARISON_DAYS - 1, COMPARISON_DAYS, 2 * COMPARISON_DAYS - 1, 2 * COMPARISON_DAYS)
    answers = [
        answer(at(THURSDAY - age * DAY), ms=1000 * n, session_id=f"s{n}") for n, age in enumerate(ages, 1)
    ]
    aged = attempts_frame(answers).with_columns(age_days=(pl.lit(THURSDAY) - windows.DAY).dt.total_days())
    assert efficiency_evidence(aged).row(0) == ("ann", 1500.0, 3500.0)
    wrong = aged.with_columns(correct=pl.lit(value=False))
    retries = recovery_evidence(wrong.filter(pl.col("age_days").is_in([0, 2 * COMPARISON_DAYS])))
    assert retries.is_empty()
    assert recovery_evidence(wrong)["n_retried"].to_list() == [2]


def test_engagement_counts_sessions_at_one_time_but_not_a_gap_between_them() -> None:
    answers = [answer(at(THURSDAY), session_id="s1"), answer(at(THURSDAY), session_id="s2")]
    assert kpi(answers, "A_t") == pytest.approx(0.35 * 2 / 28 + 0.25 * 0.5 + 0.2 * 0.5 + 0.2 * 0.5)


def test_engagement_takes_the_gaps_between_distinct_times_only() -> None:
    times = (THURSDAY - 4 * DAY, THURSDAY - 4 * DAY, THURSDAY)
    answers = [answer(at(time), session_id=f"s{k}") for k, time in enumerate(times)]
    assert kpi(answers, "A_t") == pytest.approx(0.35 * 3 / 28 + 0.25 / 4 + 0.2 * 0.5 + 0.2 * 0.5)


def test_a_session_s_time_is_that_of_its_latest_answer() -> None:
    answers = [
        answer(at(THURSDAY - 9 * DAY), "Q1", session_id="s1"),
        answer(at(THURSDAY - 4 * DAY), "Q2", session_id="s1"),
        answer(at(THURSDAY), session_id="s2"),
    ]
    assert kpi(answers, "A_t") == pytest.approx(0.35 * 2 / 28 + 0.25 / 4 + 0.2 * 0.5 + 0.2 * 0.5)
    assert kpi(answers, "S") == pytest.approx(0.25 * 4 / 7 + 0.15 * 0.8)


def test_engagement_is_null_without_an_answer_in_28_days() -> None:
    assert kpi([answer(at(THURSDAY - 28 * DAY))], "A_t") is None


def test_session_times_beyond_32_bits_add_up() -> None:
    answers = [answer(at(THURSDAY), item, session_id="s", ms=2_000_000_000) for item in ("Q1", "Q2")]
    assert kpi(answers, "A_t") == pytest.approx(0.35 / 28 + 0.125 + 0.1 + 0.2)


# -- P ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theta", "se", "target", "expected"),
    [
        (0.0, 0.5, 0.0, 0.5),
        (0.5, 0.5, 0.0, 0.8413447460685429),
        (-0.98, 0.5, 0.0, 0.024997895148220435),
        (0.0, 0.0, 0.0, None),
        (0.0, -1.0, 0.0, None),
        (0.0, None, 0.0, None),
        (None, None, 0.0, None),
    ],
)
def test_goal_probability_is_the_normal_tail_above_the_target(
    theta: float | None, se: float | None, target: float, expected: float | None
) -> None:
    found = value(goal_probability(), {"theta": theta, "se": se, "target": target})
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_goal_probability_keeps_the_digits_of_a_remote_goal() -> None:
    found = value(goal_probability(), {"theta": -4.0, "se": 0.25, "target": 1.0})
    assert found == pytest.approx(0.5 * math.erfc(20 / math.sqrt(2)), rel=1e-9)


def test_goal_probability_uses_the_newest_ability_up_to_the_end_of_the_day() -> None:
    abilities = (
        ability(2.0, 0.5, at(THURSDAY + DAY, dt.time())),
        ability(0.5, 0.5, at(THURSDAY, LAST_INSTANT)),
        ability(-2.0, 0.5, at(THURSDAY, dt.time(3)), at(THURSDAY + DAY)),
    )
    assert kpi([answer(at(THURSDAY))], "P", abilities=abilities) == pytest.approx(0.841344746)


def test_goal_probability_uses_the_later_fit_of_abilities_as_of_one_instant() -> None:
    same = at(THURSDAY)
    abilities = (ability(0.5, 0.5, same, same + 2 * DAY), ability(2.0, 0.5, same, same + DAY))
    assert kpi([answer(same)], "P", abilities=abilities) == pytest.approx(0.841344746)


def test_goal_probability_weights_the_goals_by_priority_plus_one() -> None:
    goals = (
        naive.Goal("ann", "algebra", 1.0, 1),
        naive.Goal("ann", "geometry", -0.5, None),
        naive.Goal("ann", "number", None, 9),
        naive.Goal("bob", "algebra", 3.0, 5),
    )
    reached = kpi([answer(at(THURSDAY))], "P", abilities=(ability(0.5, 0.5, at(THURSDAY)),), goals=goals)
    assert reached == pytest.approx(0.5)


# -- S ---------------------------------------------------------------------------------------------


def test_churn_risk_adds_its_three_terms() -> None:
    evidence = {"days_since_last": 7, "mean_gap_dates": 3.5, "n_active_sessions": 4}
    assert value(churn_risk(14), evidence) == pytest.approx(0.6 * 0.5 + 0.25 * 0.5 + 0.15 * 0.6)
    assert value(churn_risk(28), evidence) == pytest.approx(0.6 * 0.25 + 0.25 * 0.5 + 0.15 * 0.6)


def test_churn_risk_of_a_single_session_has_the_full_gap_term() -> None:
    evidence = {"days_since_last": 0, "mean_gap_dates": None, "n_active_sessions": 1}
    assert value(churn_risk(), evidence) == pytest.approx(0.25 + 0.15 * 0.9)


def test_churn_risk_clamps_every_term() -> None:
    evidence = {"days_since_last": 50, "mean_gap_dates": 30.0, "n_active_sessions": 20}
    assert value(churn_risk(), evidence) == pytest.approx(0.85)


def test_churn_risk_counts_whole_dates() -> None:
    answers = [
        answer(at(THURSDAY - 55 * DAY, LAST_INSTANT)),
        answer(at(THURSDAY - 52 * DAY, dt.time())),
        answer(at(THURSDAY - 56 * DAY)),
        answer(at(THURSDAY - 2 * DAY, LAST_INSTANT)),
    ]
    expected = 0.6 * 2 / 14 + 0.25 * 1.0 + 0.15 * 0.7
    assert kpi(answers, "S") == pytest.approx(expected)


def test_churn_risk_of_two_sessions_on_one_day_has_no_gap() -> None:
    answers = [answer(at(THURSDAY, dt.time(8))), answer(at(THURSDAY, dt.time(20)))]
    assert kpi(answers, "S") == pytest.approx(0.15 * 0.8)


# -- all formulas ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [28, 35, 41, 49, 54, 55])
def test_a_learner_has_the_same_bits_alone_as_in_company(n: int) -> None:
    evidence = ACCURACY | {
        "n_recent": n,
        "n_correct_recent": n // 2,
        "n_sessions": n,
        "mean_gap_days": n / 7,
        "mean_hints": n / 50,
        "mean_session_secs": float(n),
        "days_since_last": n % 14,
        "mean_gap_dates": n / 11,
        "n_active_sessions": n % 10,
    }
    alone, in_company = (
        pl.DataFrame([evidence] * size, schema_overrides=dict.fromkeys(NO_THETA, pl.Float64)).select(
            I_t=improvement(), A_t=engagement(), S=churn_risk()
        )
        for size in (1, 3)
    )
    assert in_company.row(0) == alone.row(0)
