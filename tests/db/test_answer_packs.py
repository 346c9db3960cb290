"""Packs: in step with the results whatever happens to them, and equal to the attempt view."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection, Engine

from seedtest.db.answer_packs import Synchronised, bring_in_step, synchronise
from seedtest.db.attempts import Scope, count_left_out, last_days, load_attempts
from seedtest.db.buckets import BUCKETS, EVERYBODY, Buckets, Shard, bucket_of
from seedtest.db.packed_answers import learner_days, plan_ranges, question_topics, read_answers
from seedtest.db.schema import ExamResult
from seedtest.errors import ConfigurationError
from seedtest.windows import ANSWER_ORDER, ATTEMPTS
from tests.db.exam_results import NOON, add_documents, add_questions, add_results, result
from tests.db.naive_attempts import DOCUMENTS
from tests.db.test_attempts import add_an_odd_cohort

TODAY = NOON.date()
SCOPE = last_days(TODAY, 60)
DAY = dt.timedelta(days=1)


def packed(
    connection: Connection, scope: Scope = SCOPE, buckets: Buckets = EVERYBODY.buckets
) -> pl.DataFrame:
    """What the packs say, as `load_attempts` would."""
    answers = read_answers(connection, scope, buckets, question_topics(connection))
    return answers.with_columns(pl.col(pl.Enum).cast(pl.String)).sort("user_id", *ANSWER_ORDER)


def require_equal(connection: Connection, scope: Scope = SCOPE) -> None:
    assert packed(connection, scope).equals(load_attempts(connection, scope))


def test_packs_hold_what_the_view_says(engine: Engine) -> None:
    with engine.begin() as connection:
        add_an_odd_cohort(connection)
        assert synchronise(connection, SCOPE) == Synchronised(packed=30, dropped=0, left_out={})
        require_equal(connection)
        assert packed(connection).schema == pl.Schema(ATTEMPTS)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=25))
def test_no_json_breaks_a_pack(engine: Engine, documents: list[str]) -> None:
    with engine.connect() as connection:
        add_documents(connection, documents)
        today = last_days(dt.datetime.now(dt.UTC).date(), 2)
        done = synchronise(connection, today)
        assert done.packed == len(documents)
        assert done.left_out == count_left_out(connection, today)
        require_equal(connection, today)
        connection.rollback()


ODD_IDS = ("\x1f", "\x1b", "\x1b2", "\x1f1\x1b", 'a"b,c', "\n", "\r\n", " ", "ä", "\x1b1\x1f2", "a\\x1fb")


def test_ids_may_hold_what_separates_them(engine: Engine) -> None:
    questions = [
        {"question_id": item, "is_correct": True, "topic": topic}
        for item, topic in zip(ODD_IDS, [*ODD_IDS[1:], ""], strict=True)
    ]
    with engine.begin() as connection:
        add_results(connection, result(*questions), result(questions[0]))
        synchronise(connection, SCOPE)
        require_equal(connection)
        found = packed(connection)
    assert set(found["item_id"]) == set(ODD_IDS)
    assert set(found["topic_id"].drop_nulls()) == set(ODD_IDS[1:])


def test_nothing_changed_is_nothing_to_do(engine: Engine) -> None:
    with engine.begin() as connection:
        add_an_odd_cohort(connection)
        synchronise(connection, SCOPE)
        assert synchronise(connection, SCOPE) == Synchronised(packed=0, dropped=0, left_out={})


def correct_it(connection: Connection, one: sa.ColumnElement[bool]) -> None:
    document = {"questions": [{"question_id": "Q9", "is_correct": True}]}
    connection.execute(sa.update(ExamResult).where(one).values(result_json=document))


def delete_it(connection: Connection, one: sa.ColumnElement[bool]) -> None:
    connection.execute(sa.delete(ExamResult).where(one))


def fail_it(connection: Connection, one: sa.ColumnElement[bool]) -> None:
    connection.execute(sa.update(ExamResult).where(one).values(status="failed"))


def move_it_back(connection: Connection, one: sa.ColumnElement[bool]) -> None:
    connection.execute(sa.update(ExamResult).where(one).values(updated_at=NOON - 20 * DAY))


def give_it_away(connection: Connection, one: sa.ColumnElement[bool]) -> None:
    connection.execute(sa.update(ExamResult).where(one).values(user_id="zoe"))


CHANGES = (correct_it, delete_it, fail_it, move_it_back, give_it_away)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_result_is_packed_again_and_no_other(
    engine: Engine, change: Callable[[Connection, sa.ColumnElement[bool]], None]
) -> None:
    with engine.begin() as connection:
        add_an_odd_cohort(connection)
        synchronise(connection, SCOPE)
    with engine.begin() as connection:
        one = connection.scalars(sa.select(ExamResult.id).order_by(ExamResult.id)).first()
        change(connection, ExamResult.id == one)
    with engine.begin() as connection:
        done = synchronise(connection, SCOPE)
        assert (done.packed, done.dropped) == (0 if change in {delete_it, fail_it} else 1, 1)
        require_equal(connection)


def test_a_result_that_moves_between_scopes_is_in_the_one_it_moved_to(engine: Engine) -> None:
    old, new = last_days(TODAY - 20 * DAY, 5), last_days(TODAY, 5)
    with engine.begin() as connection:
        add_results(connection, result({"question_id": "Q1"}, completed_at=NOON - 20 * DAY))
        synchronise(connection, old)
    with engine.begin() as connection:
        connection.execute(sa.update(ExamResult).values(updated_at=NOON))
    with engine.begin() as connection:
        assert synchronise(connection, new).packed == 1
        require_equal(connection, new)
        synchronise(connection, old)
        require_equal(connection, old)
        require_equal(connection)


def test_a_topic_that_a_question_gets_later_counts_at_once(engine: Engine) -> None:
    with engine.begin() as connection:
        add_results(connection, result({"question_id": "Q1"}, {"question_id": "Q2", "topic": "own"}))
        synchronise(connection, SCOPE)
        add_questions(connection, {"id": "Q1", "topic_id": "late"}, {"id": "Q2", "topic_id": "late"})
        assert packed(connection)["topic_id"].to_list() == ["late", "own"]
        require_equal(connection)


def test_what_is_left_out_is_counted_as_the_view_counts_it(engine: Engine) -> None:
    answer = {"question_id": "Q1"}
    with engine.begin() as connection:
        add_results(
            connection,
            result(answer, user_id=None),
            result(answer, user_id="", status="failed"),
            result(answer, status="failed"),
            result(answer, {"question_id": ""}, {}, 3),
            result(answer, {"question_id": ""}, completed_at=NOON - 3 * DAY),
            result(),
            result(answer, result_json={"questions": "x"}),
        )
        today = last_days(TODAY, 1)
        shards = [synchronise(connection, SCOPE, Shard(n, 3), counted=today).left_out for n in range(3)]
        total = {
            reason: sum(left.get(reason, 0) for left in shards) for reason in {k for s in shards for k in s}
        }
        assert total == count_left_out(connection, today)


def test_shards_share_the_learners_out(engine: Engine) -> None:
    with engine.begin() as connection:
        add_an_odd_cohort(connection)
        parts = [Shard(number, 3) for number in range(3)]
        done = [synchronise(connection, SCOPE, part).packed for part in parts]
        assert sum(done) == 30
        together = pl.concat([packed(connection, SCOPE, part.buckets) for part in parts])
        assert together.sort("user_id", *ANSWER_ORDER).equals(load_attempts(connection, SCOPE))
        bucket = connection.scalar(
            sa.text(f"SELECT {bucket_of('CAST(:id AS text)')}"), {"id": "test-user-123"}
        )
    # The first twelve bits of the md5, af09…, for ever.
    assert bucket == 0xAF0


@pytest.mark.parametrize(("number", "of"), [(-1, 1), (1, 1), (0, 0), (0, BUCKETS + 1)])
def test_a_shard_that_there_cannot_be_is_refused(number: int, of: int) -> None:
    with pytest.raises(ConfigurationError, match="no shard"):
        Shard(number, of)


def test_ranges_cover_every_bucket_and_hold_no_more_than_they_may(engine: Engine) -> None:
    with engine.begin() as connection:
        two = {"question_id": "Q"}, {"question_id": "R"}
        add_results(connection, *(result(*two, user_id=f"u{n}") for n in range(40)))
        synchronise(connection, SCOPE)
        ranges = plan_ranges(connection, SCOPE, EVERYBODY, 7)
        assert [each.buckets.first for each in ranges[1:]] == [each.buckets.last + 1 for each in ranges[:-1]]
        assert (ranges[0].buckets.first, ranges[-1].buckets.last) == (0, BUCKETS - 1)
        assert max(each.n_answers for each in ranges) <= 14
        assert sum(each.n_answers for each in ranges) == 80
        assert [each.n_answers for each in plan_ranges(connection, SCOPE, EVERYBODY)] == [80]


def test_the_content_of_a_day_changes_with_its_answers_alone(engine: Engine) -> None:
    def days(connection: Connection) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        synchronise(connection, SCOPE)
        rows = learner_days(connection, SCOPE, EVERYBODY.buckets).iter_rows()
        return {row[1:3]: row[3:] for row in rows}

    with engine.begin() as connection:
        answers = [
            result({"question_id": "Q"}, user_id=u, completed_at=NOON - n * DAY) for u in "ab" for n in (0, 1)
        ]
        add_results(connection, *answers)
        before = days(connection)
    with engine.begin() as connection:
        assert days(connection) == before
        connection.execute(
            sa.update(ExamResult).where(ExamResult.session_id == answers[0]["session_id"]).values(exam_id=7)
        )
    with engine.begin() as connection:
        after = days(connection)
    assert {key for key in before if before[key] != after[key]} == {("a", TODAY)}


def test_two_at_once_pack_a_result_once(engine: Engine) -> None:
    with engine.begin() as connection:
        add_results(connection, result({"question_id": "Q"}, id=uuid.UUID(int=5)))
    with engine.begin() as first:
        assert synchronise(first, SCOPE).packed == 1
        with engine.connect() as second, second.begin():
            second.execute(sa.text("SET LOCAL lock_timeout = '200ms'"))
            with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
                synchronise(second, SCOPE)
    with engine.begin() as third:
        assert synchronise(third, SCOPE).packed == 0


def test_a_result_that_moves_while_its_days_are_packed_apart_is_kept(engine: Engine) -> None:
    """Two connections share a scope's days; one packs the result anew, the other drops the old pack."""
    old, new = last_days(TODAY - 20 * DAY, 5), last_days(TODAY, 5)
    with engine.begin() as connection:
        add_results(connection, result({"question_id": "Q1"}, completed_at=NOON - 20 * DAY))
        synchronise(connection, SCOPE)
    with engine.begin() as connection:
        connection.execute(sa.update(ExamResult).values(updated_at=NOON))
    for order in ((old, new), (new, old)):
        with engine.connect() as connection:
            for days in order:
                bring_in_step(connection, days, EVERYBODY)
            require_equal(connection)
            connection.rollback()


@pytest.mark.parametrize("into", [1, 3, 7, 100])
def test_a_scope_is_cut_into_days_that_are_it_together(into: int) -> None:
    scope = last_days(TODAY, 7)
    parts = scope.cut(into)
    assert len(parts) == min(into, 7)
    assert (parts[0].first_day, parts[-1].last_day) == (scope.first_day, scope.last_day)
    assert [part.first_day for part in parts[1:]] == [part.last_day + DAY for part in parts[:-1]]
    assert all(part.first_day <= part.last_day for part in parts)
