"""Computations of the reports that stand alone: intervals, and goals' paces."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.goals import goals_of
from reports.measures import Z_95, wilson_bound
from reports.model import GoalStatus
from reports.period import Period
from seedtest.errors import ConfigurationError

SUNDAY = dt.date(2026, 11, 1)


@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_an_accuracy_is_wilsons(counts: tuple[int, int]) -> None:
    frame = pl.DataFrame([counts], schema=["k", "n"], orient="row")
    low, high = frame.select(
        wilson_bound(pl.col("k"), pl.col("n"), -1).alias("low"),
        wilson_bound(pl.col("k"), pl.col("n"), 1).alias("high"),
    ).row(0)
    expected = stats.binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert (low, high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


def test_z_is_the_975th_of_a_thousand() -> None:
    assert stats.norm.ppf(0.975) == Z_95


def goal(**changes: Any) -> Any:
    row: dict[str, Any] = {
        "topic_id": "algebra",
        "target_level": 1.0,
        "target_score": None,
        "target_date": SUNDAY + dt.timedelta(days=28),
        "priority": 0,
        "theta": 0.0,
        "se": 0.3,
        "probability": 0.0,
        "shown_per_week": 0.3,
        "shown_se": 0.1,
        "shown_of": "topic",
    }
    return goals_of([row | changes], SUNDAY)[0]


UNSHOWN = {"shown_per_week": None, "shown_se": None, "shown_of": None}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, GoalStatus.ON_PACE),
        ({"shown_per_week": 0.25}, GoalStatus.ON_PACE),
        ({"shown_per_week": 0.16}, GoalStatus.OPEN),
        ({"shown_per_week": 0.14}, GoalStatus.BEHIND),
        (UNSHOWN, GoalStatus.OPEN),
        ({"target_date": None}, GoalStatus.OPEN),
        ({"target_date": SUNDAY}, GoalStatus.OVERDUE),
        ({"target_date": SUNDAY, "theta": 1.0}, GoalStatus.REACHED),
        ({"theta": None, "se": None, "probability": None}, GoalStatus.UNKNOWN),
        ({"target_level": None, "probability": None}, GoalStatus.UNKNOWN),
    ],
)
def test_a_goal_stands_by_the_pace_it_needs(changes: dict[str, Any], status: GoalStatus) -> None:
    assert goal(**changes).status is status


def test_the_needed_pace_is_the_gap_over_the_weeks_left() -> None:
    assert (goal().weeks_left, goal().needed_per_week) == (4.0, 0.25)
    assert goal(theta=2.0).needed_per_week == 0.0
    assert goal(target_date=SUNDAY - dt.timedelta(days=7)).needed_per_week is None


def test_a_period_ends_with_its_week_and_starts_seven_weeks_before() -> None:
    period = Period(dt.date(2026, 10, 26))
    assert (period.week_end, period.first_day) == (SUNDAY, dt.date(2026, 9, 7))
    assert (period.weeks[0], period.weeks[-1]) == (period.first_day, period.week_start)
    assert (period.days[0], period.days[-1]) == (period.first_day, SUNDAY)
    with pytest.raises(ConfigurationError, match="ask for 2026-10-26"):
        Period(SUNDAY)
