import datetime as dt
import itertools
import math
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from seedtest.errors import ConfigurationError
from seedtest.irt import ItemParameters, Prior
from seedtest.kpis import KPIS, NEEDS_DAYS, weekly_kpis
from seedtest.windows import KpiWeek, kpi_weeks
from tests import naive
from tests.cohorts import (
    CALIBRATED,
    DAY,
    LAST_INSTANT,
    THURSDAY,
    abilities_frame,
    answer,
    at,
    attempts_frame,
    cohorts,
    goals_frame,
    parameters,
    run_kpis,
)

MONDAY = dt.date(2026, 11, 2)


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
def test_the_rows_are_the_running_week_and_the_last_completed_one(
    date: dt.date, completed: KpiWeek, running: KpiWeek
) -> None:
    assert kpi_weeks(date) == (completed, running)
    rows = run_kpis(naive.Cohort([answer(at(date))], naive.Fit({})), date).rows
    assert rows.select("week_start", "as_of").rows() == [
        (completed.week_start, completed.as_of),
        (running.week_start, running.as_of),
    ]


def test_learners_are_those_who_answered_in_the_lookback() -> None:
    answers = [
        answer(at(THURSDAY - 55 * DAY, dt.time()), user_id="in"),
        answer(at(THURSDAY - 56 * DAY, LAST_INSTANT), user_id="before"),
        answer(at(THURSDAY + DAY, dt.time()), user_id="after"),
    ]
    assert run_kpis(naive.Cohort(answers, naive.Fit({}))).rows["user_id"].to_list() == ["in", "in"]


def test_a_learner_before_the_first_answer_has_a_row_of_nulls() -> None:
    rows = run_kpis(naive.Cohort([answer(at(THURSDAY))], naive.Fit(CALIBRATED))).rows
    assert rows.row(0) == ("ann", dt.date(2026, 10, 26), dt.date(2026, 11, 1), *[None] * 6)


def test_the_days_that_callers_must_load_are_enough() -> None:
    for date in (MONDAY + k * DAY for k in range(7)):
        oldest = date - (NEEDS_DAYS - 1) * DAY
        completed = kpi_weeks(date)[0].as_of
        assert oldest <= completed - 55 * DAY


def test_improvement_by_theta_takes_each_window_s_own_answers() -> None:
    items = list(CALIBRATED)[:6]
    days = (THURSDAY, THURSDAY - 13 * DAY, THURSDAY - 14 * DAY, THURSDAY - 27 * DAY)
    times = (LAST_INSTANT, dt.time(), LAST_INSTANT, dt.time())
    # Three items at each end of each window: only whole windows reach five.
    answers = [
        answer(at(day, time), item_id, correct=k < 2, session_id=f"s{k}", ordinal=n)
        for k, (day, time) in enumerate(zip(days, times, strict=True))
        for n, item_id in enumerate(items[:3] if k % 2 else items[3:])
    ]
    fit = naive.Fit(CALIBRATED)
    recent, prev = naive.eap(answers[:6], fit), naive.eap(answers[6:], fit)
    assert recent.theta is not None
    assert recent.se is not None
    assert prev.theta is not None
    expected = (recent.theta - prev.theta) * 6 / 30 * (1 - min(0.5, 1.96 * recent.se))
    outside = [
        answer(at(THURSDAY - 28 * DAY), "Q7"),
        answer(at(THURSDAY + DAY, dt.time()), "Q7", correct=False),
    ]
    rows = run_kpis(naive.Cohort(answers + outside, fit)).rows
    assert rows["I_t"][1] == pytest.approx(expected, abs=1e-12)


def test_goal_probability_of_a_learner_without_a_goal_is_for_the_default_target() -> None:
    cohort = naive.Cohort(
        [answer(at(THURSDAY))],
        naive.Fit({}),
        [naive.Ability("ann", 0.7, 0.5, at(MONDAY), at(MONDAY))],
        default_target=0.7,
    )
    assert run_kpis(cohort).rows["P"].to_list() == [None, 0.5]


def test_no_answers_give_no_rows() -> None:
    result = run_kpis(naive.Cohort([], naive.Fit(CALIBRATED)))
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


def test_the_order_of_the_rows_changes_no_bit() -> None:
    cohort = rich_cohort()
    expected = run_kpis(cohort).rows
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
def test_a_learner_with_an_impossible_value_fails_alone(
    abilities: list[naive.Ability], goals: list[naive.Goal], reason: str
) -> None:
    cohort = rich_cohort()
    broken = replace(cohort, abilities=[*cohort.abilities, *abilities], goals=[*cohort.goals, *goals])
    result = run_kpis(broken)
    assert result.rows.equals(run_kpis(cohort).rows.filter(pl.col("user_id") != "bob"))
    (failure,) = result.failures
    assert failure.user_id == "bob"
    assert reason in failure.reason
    assert "check the learner's" in failure.reason


def test_an_old_impossible_ability_harms_nobody() -> None:
    cohort = rich_cohort()
    old = naive.Ability("bob", math.nan, math.nan, at(THURSDAY - 300 * DAY), at(THURSDAY))
    assert run_kpis(replace(cohort, abilities=[*cohort.abilities, old])).failures == ()


def test_a_learner_s_rows_have_the_same_bits_alone_as_in_company() -> None:
    # The medians before are the same in both weeks: alone, polars keeps them as one number.
    of_each = [
        [
            answer(at(THURSDAY - 40 * DAY), user_id=f"u{ms}", ms=27_000),
            answer(at(THURSDAY - 10 * DAY), user_id=f"u{ms}", ms=ms),
            answer(at(THURSDAY - DAY), user_id=f"u{ms}", ms=ms - 501),
        ]
        for ms in range(20_000, 27_000, 100)
    ]
    rows = run_kpis(naive.Cohort(list(itertools.chain(*of_each)), naive.Fit({}))).rows
    for answers in of_each:
        alone = run_kpis(naive.Cohort(answers, naive.Fit({}))).rows
        assert alone.equals(rows.filter(user_id=answers[0].user_id), null_equal=True)


def test_missing_data_is_no_failure() -> None:
    cohort = replace(rich_cohort(), abilities=[], goals=[])
    result = run_kpis(cohort)
    assert result.failures == ()
    assert result.rows["P"].null_count() == result.rows.height


@pytest.mark.parametrize(
    "setting", [{"default_target": math.nan}, {"default_target": math.inf}, {"churn_horizon_days": 0}]
)
def test_an_impossible_setting_is_refused(setting: dict[str, Any]) -> None:
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


def test_attempts_without_a_needed_column_are_refused_at_once() -> None:
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


@settings(max_examples=60, deadline=None)
@given(cohorts())
def test_the_core_agrees_with_the_naive_implementation(drawn: tuple[naive.Cohort, dt.date]) -> None:
    require_agreement(drawn)


@pytest.mark.heavy
@settings(max_examples=300, deadline=None)
@given(cohorts())
def test_the_core_agrees_with_the_naive_implementation_at_length(drawn: tuple[naive.Cohort, dt.date]) -> None:
    require_agreement(drawn)


def require_agreement(drawn: tuple[naive.Cohort, dt.date]) -> None:
    cohort, date = drawn
    result = run_kpis(cohort, date)
    assert result.failures == ()
    found = {(row["user_id"], row["week_start"]): row for row in result.rows.iter_rows(named=True)}
    expected = naive.weekly_kpis(cohort, date)
    assert list(found) == list(expected)
    for key, kpis in expected.items():
        for name, number in kpis.items():
            same = found[key][name] == (None if number is None else pytest.approx(number, abs=1e-9))
            assert same, (key, name, found[key][name], number)
