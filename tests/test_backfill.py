"""The windows of a backfill, what each run is asked for, and what leaves the rows that all days would."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtest.backfill import ELSEWHERE, FEATURES, KPIS, MOST_DAYS, Course, Window, plan_backfill
from seedtest.errors import ConfigurationError
from tests import naive
from tests.cohorts import DAY, cohorts, run_kpis

TODAY = dt.date(2026, 11, 5)
YESTERDAY = TODAY - DAY


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def windows(flow: str, first: str, last: str, **choice: int) -> list[str]:
    plan = plan_backfill(flow, day(first), day(last), today=TODAY, **choice)
    return [str(window) for window in plan.windows]


def test_features_go_by_windows_of_so_many_days_the_last_one_shorter() -> None:
    assert windows(FEATURES, "2026-01-01", "2026-02-20") == [
        "2026-01-01 to 2026-01-28",
        "2026-01-29 to 2026-02-20",
    ]
    assert windows(FEATURES, "2026-01-01", "2026-01-03", window_days=1) == [
        f"2026-01-0{n} to 2026-01-0{n}" for n in (1, 2, 3)
    ]


def test_kpis_go_by_iso_weeks_cut_at_the_ends() -> None:
    # A Wednesday to a Tuesday, over the end of the ISO year 2026.
    assert windows(KPIS, "2025-12-24", "2026-01-06") == [
        "2025-12-24 to 2025-12-28",
        "2025-12-29 to 2026-01-04",
        "2026-01-05 to 2026-01-06",
    ]


@given(
    st.sampled_from((FEATURES, KPIS)), st.dates(day("2020-01-01"), YESTERDAY), st.integers(1, 200), st.data()
)
def test_the_windows_hold_every_day_once_and_in_order(
    flow: str, last: dt.date, n_days: int, data: st.DataObject
) -> None:
    window_days = data.draw(st.none() | st.integers(1, 40)) if flow == FEATURES else None
    plan = plan_backfill(flow, last - (n_days - 1) * DAY, last, window_days=window_days, today=TODAY)
    days = [w.first_day + n * DAY for w in plan.windows for n in range(w.n_days)]
    assert days == [last - n * DAY for n in reversed(range(n_days))]


def test_a_run_of_the_features_computes_the_days_of_its_window() -> None:
    plan = plan_backfill(FEATURES, day("2026-01-01"), day("2026-01-31"), today=TODAY)
    assert [plan.parameters(window, TODAY) for window in plan.windows] == [
        {"date": "2026-01-28", "lookback_days": 28},
        {"date": "2026-01-31", "lookback_days": 3},
    ]


@pytest.mark.parametrize(
    ("last", "dates"),
    [
        ("2026-10-25", ["2026-10-18", "2026-10-25"]),
        # A week that is over is measured at its end, a week that goes on as late as it can be.
        ("2026-10-21", ["2026-10-18", "2026-10-25"]),
        ("2026-11-02", ["2026-10-18", "2026-10-25", "2026-11-01", "2026-11-04"]),
        ("2026-11-04", ["2026-10-18", "2026-10-25", "2026-11-01", "2026-11-04"]),
    ],
)
def test_a_run_of_the_kpis_is_for_the_sunday_of_its_week_or_for_yesterday(
    last: str, dates: list[str]
) -> None:
    plan = plan_backfill(KPIS, day("2026-10-14"), day(last), today=TODAY)
    assert [plan.parameters(window, TODAY) for window in plan.windows] == [{"date": date} for date in dates]


def left_by_runs(cohort: naive.Cohort, dates: list[dt.date]) -> pl.DataFrame:
    """The rows after runs for these days: each replaces those of its two weeks, whoever has answers."""
    left = run_kpis(cohort, dates[0]).rows.clear()
    for date in dates:
        rows = run_kpis(cohort, date).rows
        weeks = [date - (date.weekday() + days) * DAY for days in (0, 7)]
        left = pl.concat([left.filter(~pl.col("week_start").is_in(weeks)), rows])
    return left.sort("user_id", "week_start")


@settings(max_examples=12, deadline=None)
@given(cohorts(), st.integers(0, 20))
def test_the_sundays_in_order_leave_what_all_days_in_order_leave(
    drawn: tuple[naive.Cohort, dt.date], n_days: int
) -> None:
    cohort, last = drawn
    first = last - n_days * DAY
    plan = plan_backfill(KPIS, first, last, today=last + DAY)
    dates = [day(str(plan.parameters(window, last + DAY)["date"])) for window in plan.windows]
    daily = [first + n * DAY for n in range(n_days + 1)]
    assert left_by_runs(cohort, dates).equals(left_by_runs(cohort, daily))


def test_equal_arguments_make_equal_ids_on_any_day_and_others_another() -> None:
    first, last = day("2026-01-01"), day("2026-02-20")
    made = plan_backfill(FEATURES, first, last, today=TODAY)
    assert plan_backfill(FEATURES, first, last, window_days=28, today=TODAY + 90 * DAY).id == made.id
    assert made.id == "5b32a78fe06ca794"
    others = [
        plan_backfill(FEATURES, first, last, window_days=7, today=TODAY),
        plan_backfill(KPIS, first, last, today=TODAY),
        plan_backfill(FEATURES, first + DAY, last, today=TODAY),
        plan_backfill(FEATURES, first, last - DAY, today=TODAY),
    ]
    assert len({made.id, *(other.id for other in others)}) == 5


@pytest.mark.parametrize(
    ("flow", "first", "last", "window_days", "why"),
    [
        (FEATURES, "2026-02-01", "2026-01-01", None, "no day from 2026-02-01 to 2026-01-01"),
        (KPIS, "2026-11-01", "2026-11-05", None, r"last day that is whole \(UTC\) is 2026-11-04"),
        (KPIS, "2015-01-01", "2026-01-01", None, "4,019 days, and one backfill covers 3,650 at most"),
        (KPIS, "2026-01-01", "2026-02-01", 28, "ISO weeks, so their windows have 7 days and not 28"),
        (FEATURES, "2026-01-01", "2026-02-01", 0, "1 to 3,650 days, not 0"),
        ("nightly", "2026-01-01", "2026-02-01", None, "there is no such stage.*aggregate-features-daily, c"),
        ("mirt-calibrate", "2026-01-01", "2026-02-01", None, "scale of today.*by itself with date=DAY"),
        ("generate-weekly-report", "2026-01-01", "2026-02-01", None, "by itself with week=DAY"),
    ],
)
def test_what_cannot_be_backfilled_is_refused_with_the_reason(
    flow: str, first: str, last: str, window_days: int | None, why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        plan_backfill(flow, day(first), day(last), window_days=window_days, today=TODAY)


def test_the_longest_backfill_is_taken() -> None:
    plan = plan_backfill(KPIS, YESTERDAY - (MOST_DAYS - 1) * DAY, YESTERDAY, today=TODAY)
    assert plan.days == Window(YESTERDAY - (MOST_DAYS - 1) * DAY, YESTERDAY)
    assert set(ELSEWHERE).isdisjoint({FEATURES, KPIS})


def test_the_course_tells_the_end_once_there_is_a_pace() -> None:
    now = dt.datetime(2026, 11, 5, 20, 0, tzinfo=dt.UTC)
    begun = Course(n_windows=13, n_done=3, n_done_before=3, elapsed_secs=0.0)
    assert begun.described(now) == "3 of 13 windows done, 10 left, 0:00:00 so far"
    going = Course(n_windows=13, n_done=5, n_done_before=3, elapsed_secs=150.0)
    assert going.left_secs == pytest.approx(8 * 75)
    assert going.described(now).endswith("8 left, 0:02:30 so far, end expected at 2026-11-05 20:10 UTC")
    done = Course(n_windows=13, n_done=13, n_done_before=3, elapsed_secs=750.4)
    assert done.described(now) == "13 of 13 windows done, 0 left, 0:12:30 so far"
