"""Bulk reads of answers: equal to the view, cut by whole days, and honest about what is left out."""

import datetime as dt
import uuid
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db.attempts import Scope, count_attempts, count_left_out, last_days, load_attempts
from seedtest.windows import ANSWER_ORDER, ATTEMPTS
from tests.db.exam_results import NOON, add_documents, add_questions, add_results, result

TODAY = NOON.date()
SHARED_COLUMNS = [column for column in ATTEMPTS if column not in {"result_id", "ordinal"}]


def add_an_odd_cohort(connection: Connection) -> None:
    """Repeats, ties, missing and absurd values, ids that need quoting."""
    add_questions(connection, {"id": "Q1", "topic_id": "algebra"}, {"id": "Q2", "topic_id": ""})
    odd = (
        {"question_id": "Q1", "is_correct": True, "time_spent_sec": 12.3456, "used_hints": 2},
        {"question_id": "Q1", "is_correct": "no", "time_spent_sec": -1, "used_hints": "x"},
        {"question_id": 'Q "2",\n', "correct": True, "time_spent_sec": 10**40, "topic": ""},
        {"question_id": 2, "is_correct": None, "used_hints": False, "topic": "기하, 'a'"},
    )
    users = ("ann", 'b "o" b,', "찬호\n", "af09dcd6-fb27-5a21-9e31-3c8303fbef98", " ")
    times = (NOON, NOON + dt.timedelta(microseconds=1), NOON - dt.timedelta(days=40))
    add_results(
        connection,
        *(result(*odd, user_id=user, completed_at=at) for user in users for at in times for _ in range(2)),
    )


def test_a_bulk_read_gives_the_rows_of_the_view(engine: Engine) -> None:
    with engine.begin() as connection:
        add_an_odd_cohort(connection)
        frame = load_attempts(connection, last_days(TODAY, 60))
        columns = ", ".join(SHARED_COLUMNS)
        rows = connection.execute(sa.text(f"SELECT {columns}, attempt_no FROM attempt")).all()
    assert frame.schema == pl.Schema(ATTEMPTS)
    numbers = pl.col("completed_at").cum_count().over("user_id", "item_id", order_by=ANSWER_ORDER)
    as_view = frame.with_columns(attempt_no=numbers).select(*SHARED_COLUMNS, "attempt_no")
    view = pl.DataFrame([tuple(row) for row in rows], schema=as_view.schema, orient="row")
    key = ["user_id", "item_id", "attempt_no"]
    assert as_view.sort(key).equals(view.sort(key), null_equal=True)
    assert frame.height == 5 * 3 * 2 * 4


def test_answers_come_sorted_by_learner_and_order_of_answering(engine: Engine) -> None:
    with engine.begin() as connection:
        add_an_odd_cohort(connection)
        frame = load_attempts(connection, last_days(TODAY, 60))
    assert frame.equals(frame.sort("user_id", *ANSWER_ORDER))


def test_without_answers_the_frame_is_empty_and_typed(engine: Engine) -> None:
    with engine.connect() as connection:
        frame = load_attempts(connection, last_days(TODAY, 60))
        assert count_attempts(connection, last_days(TODAY, 60)) == 0
    assert frame.is_empty()
    assert frame.schema == pl.Schema(ATTEMPTS)


def add_answers_at(connection: Connection, *times: dt.datetime, **columns: Any) -> None:
    add_results(
        connection,
        *(result({"question_id": f"{at:%d %H:%M:%S.%f}"}, completed_at=at, **columns) for at in times),
    )


def test_a_scope_holds_whole_utc_days_both_included(engine: Engine) -> None:
    midnight = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    tick, day = dt.timedelta(microseconds=1), dt.timedelta(days=1)
    # In Seoul the last of these is already 2 November.
    inside = (midnight - day, midnight - tick, midnight + dt.timedelta(hours=20), midnight + day - tick)
    scope = Scope(dt.date(2026, 10, 31), dt.date(2026, 11, 1))
    assert scope == last_days(dt.date(2026, 11, 1), 2)
    with engine.begin() as connection:
        add_answers_at(connection, *inside, midnight - day - tick, midnight + day)
        connection.execute(sa.text("SET LOCAL timezone TO 'Asia/Seoul'"))
        assert load_attempts(connection, scope)["completed_at"].sort().to_list() == sorted(inside)
        assert count_attempts(connection, scope) == len(inside)


def test_a_scope_may_be_one_topic_or_one_exam(engine: Engine) -> None:
    with engine.begin() as connection:
        add_questions(connection, {"id": "Q1", "topic_id": "it's 100%"}, {"id": "Q2", "topic_id": "b"})
        pair = ({"question_id": "Q1"}, {"question_id": "Q2"})
        add_results(
            connection, result(*pair, exam_id=7), result(*pair, exam_id=8), result(*pair, exam_id=None)
        )
        by_topic = Scope(TODAY, TODAY, topic_id="it's 100%")
        by_exam = Scope(TODAY, TODAY, exam_id=7)
        by_both = Scope(TODAY, TODAY, topic_id="b", exam_id=8)
        found = [load_attempts(connection, scope) for scope in (by_topic, by_exam, by_both)]
        assert [count_attempts(connection, scope) for scope in (by_topic, by_exam, by_both)] == [3, 2, 1]
    assert [sorted(frame["item_id"]) for frame in found] == [["Q1"] * 3, ["Q1", "Q2"], ["Q2"]]


def test_a_limit_keeps_the_newest_answers_with_ties_broken_by_result_and_ordinal(engine: Engine) -> None:
    low, high = uuid.UUID(int=1), uuid.UUID(int=2)
    three = tuple({"question_id": f"Q{n}"} for n in range(3))
    scope = last_days(TODAY, 3)
    with engine.begin() as connection:
        older = NOON - dt.timedelta(days=1)
        add_results(connection, result(*three, id=high), result(*three, id=low))
        add_results(connection, result(*three, completed_at=older, user_id="bob"))
        five = load_attempts(connection, scope, newest=5)
        assert load_attempts(connection, scope, newest=9).height == 9
        assert load_attempts(connection, scope, newest=100).height == 9
    kept = set(five.select("result_id", "ordinal").iter_rows())
    assert kept == {(str(high), 1), (str(high), 2), (str(high), 3), (str(low), 2), (str(low), 3)}


def test_what_the_view_leaves_out_is_counted_by_reason(engine: Engine) -> None:
    answer = {"question_id": "Q1"}
    with engine.begin() as connection:
        add_results(
            connection,
            result(answer, user_id=None),
            result(answer, user_id=""),
            # Counted once, as without a learner.
            result(answer, user_id=None, status="failed"),
            result(answer, status="failed"),
            result(answer, {"question_id": ""}, {"question_id": None}, {"question_id": []}, {}, 3, "x", None),
            result(),
        )
        at = f"updated_at = '{NOON}' WHERE session_id ~ '^[0-9]+$'"
        add_documents(connection, ["{}", "[]", "null", '{"questions": {"a": 1}}', '{"questions": "x"}'])
        connection.execute(sa.text(f"UPDATE exam_results SET {at}"))
        add_answers_at(connection, NOON - dt.timedelta(days=1), NOON + dt.timedelta(days=1), user_id=None)
        assert count_left_out(connection, last_days(TODAY, 1)) == {
            "results without a user_id": 3,
            "results with status failed": 1,
            "results whose questions are no list": 5,
            "answers without a question_id": 7,
        }
        assert count_attempts(connection, last_days(TODAY, 1)) == 1


def test_nothing_left_out_is_nothing_to_count(engine: Engine) -> None:
    with engine.begin() as connection:
        assert count_left_out(connection, last_days(TODAY, 1)) == {}
        add_answers_at(connection, NOON)
        assert count_left_out(connection, last_days(TODAY, 1)) == {}
