"""How many answers there are, at the boundaries of each check."""

import datetime as dt

import pytest

from seedtest.quality.evidence import COMPARED_DAYS
from seedtest.quality.findings import Check, Level
from seedtest.quality.volume import freshness, lost_answers, volume
from tests.quality.evidence import A_DAY, END, LAST_DAY, day, sound, volumes

HOUR, TICK = dt.timedelta(hours=1), dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("newest", "level"),
    [
        (END - TICK, Level.OK),
        (END - 24 * HOUR, Level.OK),
        (END - 24 * HOUR - TICK, Level.WARNING),
        (END - 500 * HOUR, Level.WARNING),
        (None, Level.WARNING),
    ],
)
def test_the_newest_answer_must_be_of_the_last_day(newest: dt.datetime | None, level: Level) -> None:
    finding = freshness(sound(newest=newest))
    assert (finding.check, finding.level) == (Check.FRESHNESS, level)
    assert bool(finding.remedy) == (level is not Level.OK)


def test_an_old_newest_answer_is_named_with_its_age() -> None:
    finding = freshness(sound(newest=END - 30 * HOUR))
    assert finding.detail == ("newest answer 2026-10-31 18:00 UTC, 30.0 h before the end of 2026-11-01")


@pytest.mark.parametrize(
    ("answers", "level"),
    [
        ({"d0": A_DAY // 3 + 1}, Level.OK),
        ({"d0": A_DAY // 3}, Level.WARNING),
        ({"d0": 0}, Level.WARNING),
        ({"d0": 3 * A_DAY}, Level.OK),
        ({"d0": 3 * A_DAY + 1}, Level.WARNING),
    ],
)
def test_a_day_is_far_off_below_a_third_or_above_three_times(answers: dict[str, int], level: Level) -> None:
    assert volume(volumes(**answers)).level is level


@pytest.mark.parametrize(
    ("a_day", "level"),
    [
        (A_DAY // 2, Level.OK),
        (A_DAY // 2 - 1, Level.WARNING),
        (2 * A_DAY, Level.OK),
        (2 * A_DAY + 1, Level.WARNING),
    ],
)
def test_a_week_is_far_off_below_half_or_above_double(a_day: int, level: Level) -> None:
    finding = volume(volumes(**{f"d{age}": a_day for age in range(7)}))
    assert finding.level is level
    assert (finding.summary == "The volume is as usual.") == (level is Level.OK)


def test_a_weekday_is_compared_with_itself() -> None:
    sundays = {f"d{age}": 250 for age in range(0, COMPARED_DAYS, 7)}
    assert volume(volumes(**sundays)).level is Level.OK


def test_one_odd_week_does_not_change_what_is_usual() -> None:
    assert volume(volumes(**{f"d{age}": 0 for age in range(7, 14)})).level is Level.OK


def test_a_week_without_an_answer_is_an_error_where_there_were_many() -> None:
    empty = {f"d{age}": 0 for age in range(7)}
    finding = volume(volumes(**empty))
    assert finding.level is Level.ERROR
    assert finding.summary == f"There is no answer in the 7 days up to {LAST_DAY}."
    assert "2026-11-01: 0 answers, usually 1,000; its 7 days: 0, usually 7,000" in finding.detail
    assert "DATABASE_URL" in finding.remedy
    # A single answer in a week of none shows that they do arrive.
    assert volume(volumes(**empty | {"d6": 1})).level is Level.WARNING


@pytest.mark.parametrize(("a_week", "level"), [(1000, Level.ERROR), (999, Level.WARNING), (199, Level.OK)])
def test_a_small_database_may_have_an_empty_week(a_week: int, level: Level) -> None:
    by_day = {day(age): a_week if age % 7 == 1 else 0 for age in range(7, COMPARED_DAYS)}
    assert volume(sound(answers_by_day=by_day)).level is level


@pytest.mark.parametrize("weeks", [0, 1])
def test_a_new_database_has_nothing_to_compare_with(weeks: int) -> None:
    by_day = {day(age): A_DAY for age in range(7 * weeks)}
    finding = volume(sound(answers_by_day=by_day))
    assert (finding.level, finding.summary) == (Level.OK, "There are no earlier weeks to compare with.")


@pytest.mark.parametrize(
    ("remaining", "level"),
    [
        (10_000, Level.OK),
        (9500, Level.OK),
        (9499, Level.WARNING),
        (5001, Level.WARNING),
        (5000, Level.ERROR),
        (0, Level.ERROR),
    ],
)
def test_answers_that_features_rest_on_must_be_there(remaining: int, level: Level) -> None:
    evidence = sound(answers_by_day={day(6): remaining}, n_recorded=10_000)
    finding = lost_answers(evidence)
    assert (finding.check, finding.level) == (Check.LOST_ANSWERS, level)


def test_of_few_answers_all_may_go() -> None:
    assert lost_answers(sound(answers_by_day={}, n_recorded=999)).level is Level.OK
    assert lost_answers(sound(answers_by_day={}, n_recorded=1000)).level is Level.ERROR


def test_an_empty_database_stops_nothing() -> None:
    empty = sound(answers_by_day={}, newest=None, n_recorded=0)
    assert [check(empty).level for check in (freshness, volume, lost_answers)] == [
        Level.WARNING,
        Level.OK,
        Level.OK,
    ]
