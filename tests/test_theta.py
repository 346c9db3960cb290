import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings

from seedtest.irt import Prior
from seedtest.settings import Repeats
from seedtest.theta import counted, topic_abilities, window_theta
from tests import naive
from tests.cohorts import (
    CALIBRATED,
    DAY,
    LAST_INSTANT,
    answer,
    at,
    attempts_frame,
    cohorts,
    parameters,
    prior_of,
)

TODAY = dt.date(2026, 12, 31)
ITEMS = parameters(CALIBRATED)


def windows(*rows: tuple[str, dt.date, dt.date]) -> pl.DataFrame:
    schema = {"user_id": pl.String, "first_day": pl.Date, "last_day": pl.Date}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def spread_answers() -> pl.DataFrame:
    """Three learners with answers to all items on every third of 90 days."""
    return attempts_frame(
        [
            answer(
                at(TODAY - age * DAY, dt.time(k)), item_id, (age + 2 * k) % 5 > 1, user_id=user_id, ordinal=k
            )
            for user_id in ("ann", "bob", "cem")
            for age in range(0, 90, 3)
            for k, item_id in enumerate(CALIBRATED, 1)
        ]
    )


# -- which answers count ---------------------------------------------------------------------------

REPEATED = attempts_frame(
    [
        answer(at(TODAY), "Q1", False, session_id="b", ordinal=2),
        answer(at(TODAY), "Q1", True, session_id="b", ordinal=1),
        answer(at(TODAY), "Q1", True, session_id="a", ordinal=7),
        answer(at(TODAY - DAY), "Q2", True, session_id="c"),
        answer(at(TODAY), "Q2", False, session_id="a"),
        answer(at(TODAY), "Q2", True, user_id="bob", session_id="d"),
    ]
)


@pytest.mark.parametrize(
    ("repeats", "expected"),
    [
        ("first", [("ann", "Q1", "a", 7), ("ann", "Q2", "c", 1), ("bob", "Q2", "d", 1)]),
        ("latest", [("ann", "Q1", "b", 2), ("ann", "Q2", "a", 1), ("bob", "Q2", "d", 1)]),
    ],
)
def test_one_answer_an_item_counts_by_time_then_result_then_ordinal(
    repeats: Repeats, expected: list[tuple[str, str, str, int]]
) -> None:
    chosen = counted(REPEATED, repeats, ["user_id"]).sort("user_id", "item_id")
    assert chosen.select("user_id", "item_id", "result_id", "ordinal").rows() == expected


def test_all_answers_count_when_asked() -> None:
    assert (
        counted(REPEATED, "all", ["user_id"]).sort(REPEATED.columns).equals(REPEATED.sort(REPEATED.columns))
    )


def test_the_first_answer_is_the_first_of_each_key() -> None:
    by_session = counted(REPEATED, "first", ["user_id", "session_id"])
    assert by_session.height == 5


# -- windows ---------------------------------------------------------------------------------------


def test_a_window_takes_its_whole_days_and_nothing_else() -> None:
    answers = [
        answer(at(TODAY - 2 * DAY, LAST_INSTANT), "Q1", False),
        answer(at(TODAY - DAY, dt.time()), "Q2", True),
        answer(at(TODAY, LAST_INSTANT), "Q3", False),
        answer(at(TODAY + DAY, dt.time()), "Q4", True),
        answer(at(TODAY), "new1", True),
        answer(at(TODAY), "Q5", True, user_id="bob"),
    ]
    expected = naive.eap(answers[1:3], naive.Fit(CALIBRATED))
    (row,) = window_theta(
        attempts_frame(answers), windows(("ann", TODAY - DAY, TODAY)), ITEMS, Prior(), "first", by=["user_id"]
    ).iter_rows(named=True)
    assert row["theta"] == pytest.approx(expected.theta, abs=1e-12)
    assert row["se"] == pytest.approx(expected.se, abs=1e-12)
    assert (row["n"], row["newest_at"]) == (2, at(TODAY, LAST_INSTANT))


def test_the_first_answer_is_the_first_within_the_window() -> None:
    answers = attempts_frame(
        [
            answer(at(TODAY - 5 * DAY), "Q1", False),
            answer(at(TODAY - DAY), "Q1", True),
            answer(at(TODAY), "Q1", False),
        ]
    )
    whole, late = (TODAY - 9 * DAY, TODAY), (TODAY - DAY, TODAY)
    scored = window_theta(
        answers, windows(("ann", *whole), ("ann", *late)), ITEMS, Prior(), "first", by=["user_id"]
    )
    assert scored["n"].to_list() == [1, 1]
    assert scored["theta"][0] < 0 < scored["theta"][1]
    assert scored["newest_at"].to_list() == [at(TODAY - 5 * DAY), at(TODAY - DAY)]


@pytest.mark.parametrize(("repeats", "correct"), [("first", True), ("latest", False)])
def test_answers_of_one_instant_are_ordered_within_a_window(repeats: Repeats, correct: bool) -> None:
    mine = REPEATED.filter(user_id="ann", item_id="Q1")
    for answers in (mine, mine.reverse()):
        scored = window_theta(
            answers, windows(("ann", TODAY, TODAY)), ITEMS, Prior(), repeats, by=["user_id"]
        )
        assert scored["n"].item() == 1
        assert (scored["theta"].item() > 0) is correct


def test_a_window_without_a_calibrated_answer_has_no_theta() -> None:
    answers = attempts_frame([answer(at(TODAY), "new1"), answer(at(TODAY), "Q1", user_id="bob")])
    scored = window_theta(
        answers,
        windows(("zoe", TODAY, TODAY), ("ann", TODAY, TODAY), ("bob", TODAY, TODAY)),
        ITEMS,
        Prior(),
        "first",
        by=["user_id"],
    )
    assert scored["user_id"].to_list() == ["zoe", "ann", "bob"]
    assert scored["n"].to_list() == [0, 0, 1]
    assert scored.select("theta", "se", "newest_at").row(0) == (None, None, None)
    assert scored.select("theta", "se", "newest_at").row(1) == (None, None, None)


def test_before_the_first_calibration_no_window_has_a_theta() -> None:
    scored = window_theta(
        spread_answers(), windows(("ann", TODAY, TODAY)), parameters({}), Prior(), "all", by=["user_id"]
    )
    assert scored.select("theta", "se", "n").row(0) == (None, None, 0)


def test_no_windows_give_no_rows() -> None:
    scored = window_theta(spread_answers(), windows(), ITEMS, Prior(), "first", by=["user_id"])
    assert scored.columns == ["user_id", "first_day", "last_day", "theta", "se", "n", "newest_at"]
    assert scored.is_empty()


def many_windows() -> pl.DataFrame:
    rows = [
        (user_id, TODAY - (age + length) * DAY, TODAY - age * DAY)
        for user_id in ("cem", "ann", "zoe", "bob")
        for age in range(0, 60, 4)
        for length in (6, 30)
    ]
    return windows(*rows)


@pytest.mark.parametrize("repeats", ["first", "latest", "all"])
def test_a_window_s_bits_do_not_depend_on_its_company(repeats: Repeats) -> None:
    answers, frame = spread_answers(), many_windows()
    together = window_theta(answers, frame, ITEMS, Prior(), repeats, by=["user_id"])
    alone = [
        window_theta(answers, row, ITEMS, Prior(), repeats, by=["user_id"]) for row in frame.iter_slices(1)
    ]
    assert together.equals(pl.concat(alone))


@pytest.mark.parametrize("answers_per_chunk", [1, 100, 1500])
def test_cutting_into_chunks_changes_no_bit(answers_per_chunk: int) -> None:
    answers, frame = spread_answers(), many_windows()
    whole = window_theta(answers, frame, ITEMS, Prior(), "first", by=["user_id"])
    cut = window_theta(
        answers, frame, ITEMS, Prior(), "first", by=["user_id"], answers_per_chunk=answers_per_chunk
    )
    assert cut.equals(whole)


def test_the_order_of_the_answers_changes_no_bit() -> None:
    answers, frame = spread_answers(), many_windows()
    expected = window_theta(answers, frame, ITEMS, Prior(), "first", by=["user_id"])
    for seed in range(3):
        shuffled = answers.sample(fraction=1, shuffle=True, seed=seed)
        assert window_theta(shuffled, frame, ITEMS, Prior(), "first", by=["user_id"]).equals(expected)


# -- topics ----------------------------------------------------------------------------------------


def test_topic_abilities_by_hand() -> None:
    answers = [
        answer(at(TODAY - 59 * DAY, dt.time()), "Q1", True),
        answer(at(TODAY - 7 * DAY), "Q2", False),
        answer(at(TODAY), "Q2", True),
        answer(at(TODAY), "new1", True),
        answer(at(TODAY - 60 * DAY, LAST_INSTANT), "Q3", True),
        answer(at(TODAY + DAY, dt.time()), "Q4", True),
        answer(at(TODAY), "Q5", True, topic_id=None),
        answer(at(TODAY), "new2", True, topic_id="geometry"),
    ]
    expected = naive.eap(answers[:2], naive.Fit(CALIBRATED))
    rows = topic_abilities(attempts_frame(answers), TODAY, ITEMS, Prior(), "first")
    assert rows.columns == ["user_id", "topic_id", "theta", "se", "n", "as_of"]
    assert rows.select("user_id", "topic_id", "n", "as_of").rows() == [
        ("ann", "algebra", 2, at(TODAY - 7 * DAY))
    ]
    assert rows["theta"].item() == pytest.approx(expected.theta, abs=1e-12)
    assert rows["se"].item() == pytest.approx(expected.se, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(cohorts())
def test_topic_abilities_agree_with_the_naive_implementation(drawn: tuple[naive.Cohort, dt.date]) -> None:
    cohort, date = drawn
    rows = topic_abilities(
        attempts_frame(cohort.answers),
        date,
        parameters(cohort.fit.items),
        prior_of(cohort.fit),
        cohort.fit.repeats,
    )
    expected = {}
    for user_id, topic_id in sorted(
        {(a.user_id, a.topic_id) for a in cohort.answers if a.topic_id is not None}
    ):
        mine = [a for a in cohort.answers if (a.user_id, a.topic_id) == (user_id, topic_id)]
        estimate = naive.eap(naive.window(mine, date, 60), cohort.fit)
        if estimate.n:
            expected[user_id, topic_id] = estimate
    found = {(row["user_id"], row["topic_id"]): row for row in rows.iter_rows(named=True)}
    assert list(found) == list(expected)
    for key, estimate in expected.items():
        assert found[key]["theta"] == pytest.approx(estimate.theta, abs=1e-9)
        assert found[key]["se"] == pytest.approx(estimate.se, abs=1e-9)
        assert (found[key]["n"], found[key]["as_of"]) == (estimate.n, estimate.newest_at)
