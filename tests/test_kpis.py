import datetime as dt
import math
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings

from seedtest.errors import ConfigurationError
from seedtest.irt import ItemParameters, Prior
from seedtest.kpis import (
    KPIS,
    NEEDS_DAYS,
    KpiResult,
    churn_risk,
    efficiency,
    engagement,
    goal_probability,
    improvement,
    recovery,
    weekly_kpis,
)
from seedtest.windows import KpiWeek, kpi_weeks
from tests import naive
from tests.cohorts import (
    CALIBRATED,
    abilities_frame,
    answer,
    at,
    attempts_frame,
    cohorts,
    goals_frame,
    parameters,
    prior_of,
)

THURSDAY = dt.date(2026, 11, 5)
MONDAY = dt.date(2026, 11, 2)
DAY = dt.timedelta(days=1)
LAST_INSTANT = dt.time(23, 59, 59, 999_999)


def value(formula: pl.Expr, evidence: dict[str, float | None]) -> float | None:
    row = pl.DataFrame(evidence, schema_overrides={k: pl.Float64 for k, v in evidence.items() if v is None})
    result: float | None = row.select(formula).item()
    return result


def run(cohort: naive.Cohort, date: dt.date = THURSDAY) -> KpiResult:
    return weekly_kpis(
        attempts_frame(cohort.answers),
        date,
        items=parameters(cohort.fit.items),
        prior=prior_of(cohort.fit),
        abilities=abilities_frame(cohort.abilities),
        goals=goals_frame(cohort.goals),
        default_target=cohort.default_target,
        repeats=cohort.fit.repeats,  # type: ignore[arg-type] - the naive side takes any text
    )


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
    result = run(naive.Cohort(answers, naive.Fit({}), list(abilities), list(goals)), date)
    assert result.failures == ()
    rows = result.rows.filter(user_id=user_id, as_of=date)
    found: float | None = rows[name].item()
    return found


def ability(
    theta: float, se: float | None, as_of: dt.datetime, fitted_at: dt.datetime | None = None
) -> naive.Ability:
    return naive.Ability("ann", theta, se, as_of, fitted_at or as_of)


# -- I_t -------------------------------------------------------------------------------------------

ACCURACY = {
    "theta_recent": None, "se_recent": None, "n_theta_recent": 0,
    "theta_prev": None, "se_prev": None, "n_theta_prev": 0,
    "n_recent": 20, "n_correct_recent": 10, "n_prev": 20, "n_correct_prev": 5,
}  # fmt: skip
THETA = {
    **ACCURACY, "theta_recent": 0.2, "se_recent": 0.1, "n_theta_recent": 10, "theta_prev": -0.1, "n_theta_prev": 5,
}  # fmt: skip


def test_improvement_by_accuracy_of_the_specification():
    assert value(improvement(), ACCURACY) == pytest.approx(0.1301, abs=5e-5)


def test_improvement_by_theta_of_the_specification():
    assert value(improvement(), THETA) == pytest.approx(0.0804, abs=1e-12)


def test_improvement_by_theta_counts_the_answers_of_theta_not_all():
    assert value(improvement(), THETA | {"n_recent": 400}) == pytest.approx(0.0804, abs=1e-12)


def test_improvement_by_theta_without_a_standard_error_has_no_penalty():
    assert value(improvement(), THETA | {"se_recent": None}) == pytest.approx(0.1, abs=1e-12)


@pytest.mark.parametrize("short", ["n_theta_recent", "n_theta_prev"])
def test_improvement_falls_back_to_accuracy_below_five_calibrated_answers(short):
    assert value(improvement(), THETA | {short: 4}) == value(improvement(), ACCURACY)


def test_improvement_gives_full_credit_from_thirty_answers():
    assert value(improvement(), THETA | {"n_theta_recent": 30}) == pytest.approx(0.3 * 0.804, abs=1e-12)
    assert value(improvement(), THETA | {"n_theta_recent": 90}) == pytest.approx(0.3 * 0.804, abs=1e-12)


def test_improvement_loses_at_most_half_to_uncertainty():
    assert value(improvement(), THETA | {"se_recent": 0.9, "n_theta_recent": 30}) == pytest.approx(
        0.15, abs=1e-12
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_improvement_is_clamped(sign):
    evidence = THETA | {"theta_recent": 3.0 * sign, "theta_prev": -2.0 * sign, "n_theta_recent": 30}
    assert value(improvement(), evidence) == sign


@pytest.mark.parametrize("side", ["recent", "prev"])
def test_improvement_is_null_when_a_window_is_empty(side):
    assert value(improvement(), ACCURACY | {f"n_{side}": 0, f"n_correct_{side}": 0}) is None


def test_improvement_windows_are_the_last_fourteen_days_and_the_fourteen_before():
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
def test_efficiency_is_the_share_by_which_the_median_time_fell(recent, prev, expected):
    assert value(efficiency(), {"median_ms_recent": recent, "median_ms_prev": prev}) == expected


def test_efficiency_takes_correct_answers_with_known_times_of_28_days_each():
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
def test_recovery_is_the_share_of_retries_that_are_correct(n, recovered, expected):
    assert value(recovery(), {"n_retried": n, "n_recovered": recovered}) == expected


def test_recovery_retries_what_was_missed_at_least_once_in_the_28_days_before():
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

ENGAGED = {"n_sessions": 7, "mean_gap_days": 4.0, "mean_hints": 1.5, "mean_session_secs": 450.0}


def test_engagement_adds_its_four_terms():
    assert value(engagement(), ENGAGED) == pytest.approx(0.35 * 0.25 + 0.25 * 0.25 + 0.20 * 0.5 + 0.20 * 0.5)


@pytest.mark.parametrize(
    ("unknown", "weight", "known"),
    [("mean_gap_days", 0.25, 0.25), ("mean_hints", 0.2, 0.5), ("mean_session_secs", 0.2, 0.5)],
)
def test_engagement_takes_one_half_for_what_is_unknown(unknown, weight, known):
    expected = value(engagement(), ENGAGED)
    assert expected is not None
    assert value(engagement(), ENGAGED | {unknown: None}) == pytest.approx(expected + weight * (0.5 - known))


def test_engagement_clamps_every_term():
    most = {"n_sessions": 90, "mean_gap_days": 0.01, "mean_hints": 0.0, "mean_session_secs": 5000.0}
    assert value(engagement(), most) == pytest.approx(1.0)
    least = {"n_sessions": 1, "mean_gap_days": 1e9, "mean_hints": 7.0, "mean_session_secs": 0.0}
    assert value(engagement(), least) == pytest.approx(0.35 / 28)


def test_engagement_by_hand_over_three_sessions():
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


def test_engagement_counts_sessions_at_one_time_but_not_a_gap_between_them():
    answers = [answer(at(THURSDAY), session_id="s1"), answer(at(THURSDAY), session_id="s2")]
    assert kpi(answers, "A_t") == pytest.approx(0.35 * 2 / 28 + 0.25 * 0.5 + 0.2 * 0.5 + 0.2 * 0.5)


def test_engagement_is_null_without_an_answer_in_28_days():
    assert kpi([answer(at(THURSDAY - 28 * DAY))], "A_t") is None


def test_session_times_beyond_32_bits_add_up():
    answers = [answer(at(THURSDAY), item, session_id="s", ms=2_000_000_000) for item in ("Q1", "Q2", "Q3")]
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
def test_goal_probability_is_the_normal_tail_above_the_target(theta, se, target, expected):
    found = value(goal_probability(), {"theta": theta, "se": se, "target": target})
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_goal_probability_keeps_the_digits_of_a_remote_goal():
    found = value(goal_probability(), {"theta": -4.0, "se": 0.25, "target": 1.0})
    assert found == pytest.approx(0.5 * math.erfc(20 / math.sqrt(2)), rel=1e-9)


def test_goal_probability_uses_the_newest_ability_up_to_the_end_of_the_day():
    abilities = (
        ability(2.0, 0.5, at(THURSDAY + DAY, dt.time())),
        ability(0.5, 0.5, at(THURSDAY, LAST_INSTANT)),
        ability(-2.0, 0.5, at(THURSDAY, dt.time(3)), at(THURSDAY + DAY)),
    )
    assert kpi([answer(at(THURSDAY))], "P", abilities=abilities) == pytest.approx(0.841344746)


def test_goal_probability_uses_the_later_fit_of_abilities_as_of_one_instant():
    same = at(THURSDAY)
    abilities = (ability(0.5, 0.5, same, same + 2 * DAY), ability(-2.0, 0.5, same, same + DAY))
    assert kpi([answer(same)], "P", abilities=abilities) == pytest.approx(0.841344746)


def test_goal_probability_weights_the_goals_by_priority_plus_one():
    goals = (
        naive.Goal("ann", "algebra", 1.0, 1),
        naive.Goal("ann", "geometry", -0.5, None),
        naive.Goal("ann", "number", None, 9),
        naive.Goal("bob", "algebra", 3.0, 5),
    )
    reached = kpi([answer(at(THURSDAY))], "P", abilities=(ability(0.5, 0.5, at(THURSDAY)),), goals=goals)
    assert reached == pytest.approx(0.5)


def test_goal_probability_of_a_learner_without_a_goal_is_for_the_default_target():
    cohort = naive.Cohort(
        [answer(at(THURSDAY))], naive.Fit({}), [ability(0.7, 0.5, at(MONDAY))], default_target=0.7
    )
    assert run(cohort).rows["P"].to_list() == [None, 0.5]


# -- S ---------------------------------------------------------------------------------------------


def test_churn_risk_adds_its_three_terms():
    evidence = {"days_since_last": 7, "mean_gap_dates": 3.5, "n_active_sessions": 4}
    assert value(churn_risk(14), evidence) == pytest.approx(0.6 * 0.5 + 0.25 * 0.5 + 0.15 * 0.6)
    assert value(churn_risk(28), evidence) == pytest.approx(0.6 * 0.25 + 0.25 * 0.5 + 0.15 * 0.6)


def test_churn_risk_of_a_single_session_has_the_full_gap_term():
    evidence = {"days_since_last": 0, "mean_gap_dates": None, "n_active_sessions": 1}
    assert value(churn_risk(), evidence) == pytest.approx(0.25 + 0.15 * 0.9)


def test_churn_risk_clamps_every_term():
    evidence = {"days_since_last": 50, "mean_gap_dates": 30.0, "n_active_sessions": 20}
    assert value(churn_risk(), evidence) == pytest.approx(0.85)


def test_churn_risk_counts_whole_dates():
    answers = [
        answer(at(THURSDAY - 55 * DAY, LAST_INSTANT)),
        answer(at(THURSDAY - 52 * DAY, dt.time())),
        answer(at(THURSDAY - 56 * DAY)),
        answer(at(THURSDAY - 2 * DAY, LAST_INSTANT)),
    ]
    expected = 0.6 * 2 / 14 + 0.25 * 1.0 + 0.15 * 0.7
    assert kpi(answers, "S") == pytest.approx(expected)


def test_churn_risk_of_two_sessions_on_one_day_has_no_gap():
    answers = [answer(at(THURSDAY, dt.time(8))), answer(at(THURSDAY, dt.time(20)))]
    assert kpi(answers, "S") == pytest.approx(0.15 * 0.8)


# -- rows and users --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "completed", "running"),
    [
        (THURSDAY, KpiWeek(dt.date(2026, 10, 26), dt.date(2026, 11, 1)), KpiWeek(MONDAY, THURSDAY)),
        (MONDAY, KpiWeek(dt.date(2026, 10, 26), dt.date(2026, 11, 1)), KpiWeek(MONDAY, MONDAY)),
        (
            dt.date(2027, 1, 3),
            KpiWeek(dt.date(2026, 12, 21), dt.date(2026, 12, 27)),
            KpiWeek(dt.date(2026, 12, 28), dt.date(2027, 1, 3)),
        ),
        (
            dt.date(2028, 2, 29),
            KpiWeek(dt.date(2028, 2, 21), dt.date(2028, 2, 27)),
            KpiWeek(dt.date(2028, 2, 28), dt.date(2028, 2, 29)),
        ),
    ],
)
def test_the_rows_are_the_running_week_and_the_last_completed_one(date, completed, running):
    assert kpi_weeks(date) == (completed, running)
    rows = run(naive.Cohort([answer(at(date))], naive.Fit({})), date).rows
    assert rows.select("week_start", "as_of").rows() == [
        (completed.week_start, completed.as_of),
        (running.week_start, running.as_of),
    ]


def test_learners_are_those_who_answered_in_the_lookback():
    answers = [
        answer(at(THURSDAY - 55 * DAY, dt.time()), user_id="in"),
        answer(at(THURSDAY - 56 * DAY, LAST_INSTANT), user_id="before"),
        answer(at(THURSDAY + DAY, dt.time()), user_id="after"),
    ]
    assert run(naive.Cohort(answers, naive.Fit({}))).rows["user_id"].to_list() == ["in", "in"]


def test_a_learner_before_the_first_answer_has_a_row_of_nulls():
    rows = run(naive.Cohort([answer(at(THURSDAY))], naive.Fit(CALIBRATED))).rows
    assert rows.row(0) == ("ann", dt.date(2026, 10, 26), dt.date(2026, 11, 1), *[None] * 6)


def test_the_days_that_callers_must_load_are_enough():
    for date in (MONDAY + k * DAY for k in range(7)):
        oldest = date - (NEEDS_DAYS - 1) * DAY
        completed = kpi_weeks(date)[0].as_of
        assert oldest <= completed - 55 * DAY


def test_no_answers_give_no_rows():
    result = run(naive.Cohort([], naive.Fit(CALIBRATED)))
    assert result.rows.columns == ["user_id", "week_start", "as_of", *KPIS]
    assert result.rows.is_empty()
    assert result.failures == ()


def rich_cohort() -> naive.Cohort:
    """Three learners with data for every KPI."""
    answers = [
        answer(
            at(THURSDAY - age * DAY, dt.time(8 + k)),
            item_id,
            (age + k) % 3 > 0,
            user_id=user_id,
            ms=20_000 + 137 * age + 1000 * k,
            hints=k % 3,
            ordinal=k,
        )
        for user_id in ("ann", "bob", "cem")
        for age in (0, 3, 9, 16, 21, 30, 40, 51)
        for k, item_id in enumerate(CALIBRATED, 1)
    ]
    abilities = [
        naive.Ability(user_id, 0.1, 0.3, at(THURSDAY - 9 * DAY), at(THURSDAY))
        for user_id in ("ann", "bob", "cem")
    ]
    goals = [naive.Goal("ann", f"t{k}", 0.1 * k, k) for k in range(7)]
    return naive.Cohort(answers, naive.Fit(CALIBRATED), abilities, goals)


def test_the_order_of_the_rows_changes_no_bit():
    cohort = rich_cohort()
    expected = run(cohort).rows
    assert expected.null_count().sum_horizontal().item() == 0
    for seed in range(5):
        shuffled = weekly_kpis(
            attempts_frame(cohort.answers).sample(fraction=1, shuffle=True, seed=seed),
            THURSDAY,
            items=parameters(cohort.fit.items),
            prior=Prior(),
            abilities=abilities_frame(cohort.abilities).reverse(),
            goals=goals_frame(cohort.goals).sample(fraction=1, shuffle=True, seed=seed),
        )
        assert shuffled.rows.equals(expected)


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("abilities", "goals", "reason"),
    [
        ([naive.Ability("bob", math.nan, 0.3, at(THURSDAY), at(THURSDAY))], [], "theta is nan"),
        ([naive.Ability("bob", 0.0, math.inf, at(THURSDAY), at(THURSDAY))], [], "se is inf"),
        ([], [naive.Goal("bob", "algebra", math.nan, 0)], "target is nan"),
        ([], [naive.Goal("bob", "algebra", -math.inf, 0)], "target is -inf"),
        ([], [naive.Goal("bob", "algebra", 1.0, -1)], "lowest_priority is -1"),
    ],
)
def test_a_learner_with_an_impossible_value_fails_alone(abilities, goals, reason):
    cohort = rich_cohort()
    broken = replace(cohort, abilities=[*cohort.abilities, *abilities], goals=[*cohort.goals, *goals])
    result = run(broken)
    assert result.rows.equals(run(cohort).rows.filter(pl.col("user_id") != "bob"))
    (failure,) = result.failures
    assert failure.user_id == "bob"
    assert reason in failure.reason
    assert "check the learner's" in failure.reason


def test_an_old_impossible_ability_harms_nobody():
    cohort = rich_cohort()
    old = naive.Ability("bob", math.nan, math.nan, at(THURSDAY - 300 * DAY), at(THURSDAY))
    assert run(replace(cohort, abilities=[*cohort.abilities, old])).failures == ()


def test_missing_data_is_no_failure():
    cohort = replace(rich_cohort(), abilities=[], goals=[])
    result = run(cohort)
    assert result.failures == ()
    assert result.rows["P"].null_count() == result.rows.height


@pytest.mark.parametrize(
    "setting", [{"default_target": math.nan}, {"default_target": math.inf}, {"churn_horizon_days": 0}]
)
def test_an_impossible_setting_is_refused(setting):
    with pytest.raises(ConfigurationError, match="METRICS_"):
        weekly_kpis(
            attempts_frame([]),
            THURSDAY,
            items=ItemParameters.from_values([], a=[], b=[]),
            prior=Prior(),
            abilities=abilities_frame([]),
            goals=goals_frame([]),
            **setting,
        )


def test_attempts_without_a_needed_column_are_refused_at_once():
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match="hints"):
        weekly_kpis(
            attempts_frame([answer(at(THURSDAY))]).drop("hints"),
            THURSDAY,
            items=ItemParameters.from_values([], a=[], b=[]),
            prior=Prior(),
            abilities=abilities_frame([]),
            goals=goals_frame([]),
        )


# -- the naive implementation ----------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(cohorts())
def test_the_core_agrees_with_the_naive_implementation(drawn):
    cohort, date = drawn
    result = run(cohort, date)
    assert result.failures == ()
    found = {(row["user_id"], row["week_start"]): row for row in result.rows.iter_rows(named=True)}
    expected = naive.weekly_kpis(cohort, date)
    assert list(found) == list(expected)
    for key, kpis in expected.items():
        for name, number in kpis.items():
            same = found[key][name] == (None if number is None else pytest.approx(number, abs=1e-9))
            assert same, (key, name, found[key][name], number)
