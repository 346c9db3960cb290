import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings

from seedtest.features import NEEDS_DAYS_BEFORE, FeatureResult, topic_features
from tests import naive
from tests.cohorts import (
    CALIBRATED,
    DAY,
    LAST_INSTANT,
    TOPICS,
    answer,
    at,
    attempts_frame,
    cohorts,
    parameters,
    prior_of,
)

TODAY = dt.date(2028, 2, 29)


def run(cohort: naive.Cohort, first_day: dt.date = TODAY, last_day: dt.date = TODAY) -> FeatureResult:
    return topic_features(
        attempts_frame(cohort.answers),
        first_day,
        last_day,
        items=parameters(cohort.fit.items),
        prior=prior_of(cohort.fit),
        repeats=cohort.fit.repeats,
    )


def one(answers: list[naive.Answer], items: dict[str, naive.Item] | None = None) -> dict[str, object]:
    (row,) = run(naive.Cohort(answers, naive.Fit(items or {}))).rows.iter_rows(named=True)
    return row


def test_a_day_in_a_topic_by_hand() -> None:
    answers = [
        answer(at(TODAY, dt.time()), "Q1", ms=1000, hints=2),
        answer(at(TODAY, dt.time(9)), "Q2", correct=False, ms=2000, hints=0),
        answer(at(TODAY, dt.time(9)), "Q3", ms=6000, hints=1),
        answer(at(TODAY, LAST_INSTANT), "Q4", ms=None, hints=None),
        answer(at(TODAY + DAY, dt.time()), "Q5"),
        answer(at(TODAY - DAY, LAST_INSTANT), "Q5"),
        answer(at(TODAY), "Q5", topic_id="geometry", user_id="bob"),
    ]
    rows = run(naive.Cohort(answers, naive.Fit({}))).rows
    assert rows.select("user_id", "topic_id").rows() == [("ann", "algebra"), ("bob", "geometry")]
    assert rows.row(0, named=True) == {
        "user_id": "ann",
        "topic_id": "algebra",
        "date": TODAY,
        "attempts": 4,
        "correct": 3,
        "avg_time_ms": 3000,
        "rt_median": 2000,
        "hints": 2,
        "last_seen_at": at(TODAY, LAST_INSTANT),
        "theta_estimate": None,
        "theta_sd": None,
        "improvement": None,
    }


@pytest.mark.parametrize(
    ("times_ms", "mean_ms", "median_ms"),
    [
        ((1, 2), 2, 2),
        ((2, 3), 3, 3),
        ((1, 1, 2), 1, 1),
        ((0,), 0, 0),
        ((0, 0, 0, 1, 2, 3), 1, 1),
        ((None,), None, None),
    ],
)
def test_times_are_rounded_to_whole_milliseconds_halves_up(
    times_ms: tuple[int | None, ...], mean_ms: int | None, median_ms: int | None
) -> None:
    row = one([answer(at(TODAY), f"Q{k}", ms=ms, session_id="s", ordinal=k) for k, ms in enumerate(times_ms)])
    assert (row["avg_time_ms"], row["rt_median"]) == (mean_ms, median_ms)


def test_times_beyond_32_bits_in_sum_have_a_mean() -> None:
    row = one([answer(at(TODAY), f"Q{k}", ms=2_000_000_000, session_id="s", ordinal=k) for k in range(3)])
    assert row["avg_time_ms"] == row["rt_median"] == 2_000_000_000


def test_theta_rests_on_the_topic_s_answers_of_sixty_days() -> None:
    inside = [answer(at(TODAY - 59 * DAY, dt.time()), "Q1"), answer(at(TODAY), "Q2", correct=False)]
    outside = [
        answer(at(TODAY - 60 * DAY, LAST_INSTANT), "Q3"),
        answer(at(TODAY + DAY, dt.time()), "Q4"),
        answer(at(TODAY - DAY), "Q5", topic_id="geometry"),
        answer(at(TODAY), "new1"),
    ]
    expected = naive.eap(inside, naive.Fit(CALIBRATED))
    row = one(inside + outside, CALIBRATED)
    assert row["theta_estimate"] == pytest.approx(expected.theta, abs=1e-12)
    assert row["theta_sd"] == pytest.approx(expected.se, abs=1e-12)
    assert NEEDS_DAYS_BEFORE == 59


def test_theta_is_null_without_a_calibrated_item_and_improvement_goes_by_accuracy() -> None:
    row = one([answer(at(TODAY), "new1"), answer(at(TODAY - 14 * DAY), "new1", correct=False)], CALIBRATED)
    assert row["theta_estimate"] is None
    assert row["theta_sd"] is None
    assert row["improvement"] == pytest.approx(1 / 30)


def test_improvement_is_restricted_to_the_topic() -> None:
    answers = [
        answer(at(TODAY), "Q1"),
        answer(at(TODAY - 14 * DAY), "Q1", topic_id="geometry", correct=False),
    ]
    assert one(answers)["improvement"] is None


def test_answers_without_a_topic_are_left_out_and_counted_within_the_range() -> None:
    answers = [
        answer(at(TODAY, dt.time()), topic_id=None),
        answer(at(TODAY, LAST_INSTANT), topic_id=None),
        answer(at(TODAY + DAY, dt.time()), topic_id=None),
        answer(at(TODAY - DAY), topic_id=None),
    ]
    result = run(naive.Cohort(answers, naive.Fit({})))
    assert result.n_without_topic == 2
    assert result.rows.is_empty()


def test_no_answers_give_no_rows_of_the_same_columns() -> None:
    some = run(naive.Cohort([answer(at(TODAY))], naive.Fit(CALIBRATED))).rows
    none = run(naive.Cohort([], naive.Fit(CALIBRATED))).rows
    assert none.is_empty()
    assert none.schema == some.schema


def two_months_of_answers() -> naive.Cohort:
    answers = [
        answer(
            at(TODAY - age * DAY, dt.time(8 + k)),
            item_id,
            (age * k) % 5 > 1,
            user_id=user_id,
            topic_id=TOPICS[item_id],
            ms=1001 * k + age,
        )
        for user_id in ("ann", "bob")
        for age in range(0, 75, 2)
        for k, item_id in enumerate(CALIBRATED, 1)
    ]
    return naive.Cohort(answers, naive.Fit(CALIBRATED))


def test_a_backfill_gives_the_bytes_of_the_nightly_runs() -> None:
    cohort = two_months_of_answers()
    days = [TODAY - k * DAY for k in range(9, -1, -1)]
    nightly = pl.concat(run(cohort, day, day).rows for day in days).sort("user_id", "topic_id", "date")
    backfill = run(cohort, days[0], days[-1]).rows
    assert backfill.equals(nightly)
    assert backfill.null_count().sum_horizontal().item() == 0


def test_the_order_of_the_answers_changes_no_bit() -> None:
    cohort = two_months_of_answers()
    expected = run(cohort, TODAY - 6 * DAY).rows
    reverse = naive.Cohort(cohort.answers[::-1], cohort.fit)
    assert run(reverse, TODAY - 6 * DAY).rows.equals(expected)


def test_no_more_days_than_said_are_needed() -> None:
    cohort = two_months_of_answers()
    first = TODAY - 3 * DAY
    oldest = at(first - NEEDS_DAYS_BEFORE * DAY, dt.time())
    enough = naive.Cohort([a for a in cohort.answers if a.completed_at >= oldest], cohort.fit)
    assert run(enough, first).rows.equals(run(cohort, first).rows)


@settings(max_examples=50, deadline=None)
@given(cohorts())
def test_the_core_agrees_with_the_naive_implementation(drawn: tuple[naive.Cohort, dt.date]) -> None:
    require_agreement(drawn)


@pytest.mark.heavy
@settings(max_examples=200, deadline=None)
@given(cohorts())
def test_the_core_agrees_with_the_naive_implementation_at_length(drawn: tuple[naive.Cohort, dt.date]) -> None:
    require_agreement(drawn)


def require_agreement(drawn: tuple[naive.Cohort, dt.date]) -> None:
    cohort, date = drawn
    first = date - 6 * DAY
    result = run(cohort, first, date)
    expected = naive.topic_features(cohort, first, date)
    in_range = [a for a in cohort.answers if first <= a.completed_at.date() <= date]
    assert result.n_without_topic == sum(a.topic_id is None for a in in_range)
    found = {(row["user_id"], row["topic_id"], row["date"]): row for row in result.rows.iter_rows(named=True)}
    assert list(found) == sorted(expected)
    for key, features in expected.items():
        for name, number in features.items():
            close = pytest.approx(number, abs=1e-9) if isinstance(number, float) else number
            assert found[key][name] == close, (key, name)
