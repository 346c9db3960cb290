"""What a report may hold: finite numbers in their ranges, whole weeks, a reason for every gap."""

import dataclasses
import datetime as dt
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.advice import NoAdvice, Rest
from reports.levels import Level
from reports.model import DAYS, KPI_NAMES, WEEKS, Ability, AbilitySource, Kpis, Topic, WeekKpis
from seedtest.errors import DataError
from seedtest.kpis import KPIS
from tests.reports.empty import MONDAY, empty_report


def test_the_kpis_are_those_of_the_pipeline() -> None:
    assert KPI_NAMES == KPIS


@pytest.mark.parametrize("name", KPI_NAMES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.0000001, -1.5, 10**400])
def test_a_kpi_out_of_its_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises((DataError, OverflowError)) as caught:
        Kpis(**{name: value})
    assert name in str(caught.value) or caught.type is OverflowError


def test_improvement_may_be_negative_and_a_probability_may_not() -> None:
    assert Kpis(I_t=-1.0).I_t == -1.0
    with pytest.raises(DataError, match=r"Kpis\.P is -0\.1, not a finite number in \[0, 1\]"):
        Kpis(P=-0.1)


@pytest.mark.parametrize(
    "change", [{"theta": math.nan}, {"se": -0.1}, {"percentile": 1.5}, {"theta": math.inf}]
)
def test_an_impossible_ability_is_refused(change: dict[str, Any]) -> None:
    at = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    good = Ability(0.0, None, 0.5, Level.AVERAGE, "2PL", "v1", at, AbilitySource.ONLINE)
    with pytest.raises(DataError):
        dataclasses.replace(good, **change)


def test_optional_numbers_are_checked_too() -> None:
    at = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    with pytest.raises(DataError, match=r"Topic\.se is inf"):
        Topic("algebra", 1, 1, 1, 1.0, 0.2, 1.0, 0.0, math.inf, 1, None, None, None, at)


def test_a_report_has_all_its_weeks_and_days() -> None:
    report = empty_report()
    assert (len(report.kpi_history), len(report.response_times), len(report.days)) == (WEEKS, WEEKS, DAYS)
    assert report.week_end == MONDAY + dt.timedelta(days=6)
    assert report.days[-1].date == report.week_end
    with pytest.raises(DataError, match="7 weeks of KPIs"):
        dataclasses.replace(report, kpi_history=report.kpi_history[1:])


def test_a_report_starts_on_a_monday() -> None:
    with pytest.raises(DataError, match="not on a Monday"):
        dataclasses.replace(empty_report(), week_start=MONDAY + dt.timedelta(days=1))


def test_a_report_recommends_something_or_says_why_not() -> None:
    report = empty_report()
    with pytest.raises(DataError, match="a reason for none"):
        dataclasses.replace(report, no_advice=None)
    with pytest.raises(DataError, match="a reason for none"):
        dataclasses.replace(report, recommendations=(Rest(1, 1, 1),))
    dataclasses.replace(report, recommendations=(Rest(1, 1, 1),), no_advice=None)
    assert report.no_advice is NoAdvice.NO_ANSWERS


def test_the_weeks_own_kpis_and_last_weeks_are_the_ends_of_the_history() -> None:
    report = empty_report()
    own, before = Kpis(P=0.5), Kpis(P=0.4)
    history = (*report.kpi_history[:-2], WeekKpis(MONDAY, before), WeekKpis(MONDAY, own))
    report = dataclasses.replace(report, kpi_history=history)
    assert (report.kpis, report.last_week_kpis) == (own, before)


@given(st.lists(st.none() | st.floats(0, 1), min_size=6, max_size=6))
def test_a_report_survives_the_way_to_another_process(values: list[float | None]) -> None:
    report = empty_report()
    kpis = tuple(WeekKpis(week.week_start, Kpis(*values)) for week in report.kpi_history)
    report = dataclasses.replace(report, kpi_history=kpis)
    assert pickle.loads(pickle.dumps(report)) == report  # noqa: S301 (our own bytes)
