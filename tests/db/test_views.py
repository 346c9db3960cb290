"""The attempt view: what each value of result_json becomes, and that none breaks a read."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection, Engine, Row

from seedtest.db import migrate
from seedtest.db.engine import create_engine
from tests.db.exam_results import NOON, add_documents, add_questions, add_results, result
from tests.db.naive_attempts import DOCUMENTS, TOPICS, naive_attempts

STUDENT = uuid.UUID("af09dcd6-fb27-5a21-9e31-3c8303fbef98")
LONG_DIGITS = "1" + "0" * 400


def read(engine: Engine, query: str = "SELECT * FROM attempt ORDER BY item_id") -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(sa.text(query)))


def add(engine: Engine, *results: dict[str, Any]) -> None:
    with engine.begin() as connection:
        add_results(connection, *results)


def read_values(engine: Engine, column: str, key: str, literals: Mapping[str, Any]) -> dict[str, Any]:
    """What the view's column says for each JSON text of an answer's key."""
    questions = [f'{{"question_id": "{n:03}", "{key}": {text}}}' for n, text in enumerate(literals)]
    with engine.begin() as connection:
        add_documents(connection, [f'{{"questions": [{", ".join(questions)}]}}'])
    rows = read(engine, f"SELECT {column} FROM attempt ORDER BY item_id")
    return dict(zip(literals, (row[0] for row in rows), strict=True))


def hashed(text: str) -> int:
    """The first 16 hex digits of the md5, as a signed 64-bit integer."""
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8], signed=True)


# -- identity --------------------------------------------------------------------------------------


def test_the_id_is_the_md5_of_result_and_question_and_of_the_ordinal_for_a_repeat(engine: Engine) -> None:
    known = uuid.UUID("00000000-0000-4000-8000-00000000000a")
    add(engine, result(*({"question_id": q} for q in ("Q1", 2, "Q1", "가", "Q1")), id=known))
    rows = read(engine, "SELECT id, ordinal FROM attempt_base ORDER BY ordinal")
    hashed_texts = ("Q1", "2", "Q1#3", "가", "Q1#5")
    assert [row.id for row in rows] == [hashed(f"{known}-{text}") for text in hashed_texts]
    assert {row.id for row in read(engine)} == {row.id for row in rows}


def test_an_id_uses_all_64_bits_signed(engine: Engine) -> None:
    add(engine, result(*({"question_id": f"Q{n}"} for n in range(40))))
    ids = [row.id for row in read(engine)]
    assert min(ids) < -(2**62)
    assert max(ids) > 2**62


def md5_uuid(text: str) -> uuid.UUID:
    return uuid.UUID(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())


def test_student_id_is_the_uuid_or_the_md5_of_user_id(engine: Engine) -> None:
    expected = {
        "test-user-123": STUDENT,
        str(STUDENT): STUDENT,
        str(STUDENT).upper(): STUDENT,
        # Forms that PostgreSQL would take for a UUID, but the contract does not.
        STUDENT.hex: md5_uuid(STUDENT.hex),
        f"{{{STUDENT}}}": md5_uuid(f"{{{STUDENT}}}"),
        "찬호": md5_uuid("찬호"),
        " ": md5_uuid(" "),
    }
    add(engine, *(result({"question_id": "Q1"}, user_id=user_id) for user_id in expected))
    assert {row.user_id: row.student_id for row in read(engine)} == expected
    assert md5_uuid("test-user-123") == STUDENT


def test_results_without_a_learner_and_failed_ones_are_left_out(engine: Engine) -> None:
    answer = {"question_id": "Q1"}
    add(engine, result(answer, user_id=None), result(answer, user_id=""))
    add(
        engine,
        result(answer, status="failed"),
        result(answer, status="ready"),
        result(answer, status="FAILED"),
    )
    statuses = "SELECT status FROM exam_results JOIN attempt USING (session_id) ORDER BY status"
    assert sorted(row.status for row in read(engine, statuses)) == ["FAILED", "ready"]


def test_a_result_whose_status_is_unknown_has_not_failed(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE exam_results (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), exam_id int,"
                " session_id text UNIQUE, user_id text, status text, result_json jsonb,"
                " created_at timestamptz DEFAULT now(), updated_at timestamptz)"
            )
        )
        add_documents(connection, ['{"questions": [{"question_id": "Q1"}]}'])
    migrate.upgrade(empty_database_url)
    assert len(read(engine)) == 1
    engine.dispose()


# -- what an answer says ---------------------------------------------------------------------------


def test_is_correct_is_a_truth_value_or_the_text_of_one_else_false(engine: Engine) -> None:
    said = {
        **dict.fromkeys(("true", '"true"', '"TRUE"', '"t"', '"yes"', '"Y"', "1", '"1"'), True),
        **dict.fromkeys(("false", '"false"', '"F"', '"no"', "0", '"0"'), False),
        **dict.fromkeys(("null", '""', '"perhaps"', "2", "1e400", "[true]", '{"is_correct": true}'), False),
        **dict.fromkeys(("1.0", "1.000", "10e-1", '" true"', '"Yes \\t\\r\\n"', '" 1 "'), True),
        **dict.fromkeys(("0.0", "-0.0", "0e5", '" false "', "1.5", "1e-16000", '" "', '"t rue"'), False),
    }
    assert read_values(engine, "correct", "is_correct", said) == said


def test_the_legacy_key_counts_only_where_is_correct_says_nothing(engine: Engine) -> None:
    said: list[tuple[dict[str, Any], bool]] = [
        ({"correct": True}, True),
        ({"correct": "true"}, True),
        ({"is_correct": False, "correct": True}, False),
        ({"is_correct": True, "correct": False}, True),
        ({"is_correct": None, "correct": True}, True),
        ({"is_correct": "perhaps", "correct": 1}, True),
        ({"is_correct": 1.5, "correct": 1.0}, True),
        ({"is_correct": 0.0, "correct": True}, False),
        ({"is_correct": " no", "correct": True}, False),
        ({}, False),
    ]
    add(engine, result(*({"question_id": f"Q{n}"} | answer for n, (answer, _) in enumerate(said))))
    assert [row.correct for row in read(engine)] == [correct for _, correct in said]


def test_a_response_time_is_null_unless_it_is_a_sane_number_of_seconds(engine: Engine) -> None:
    times_ms = {
        "12.5": 12_500,
        "0": 0,
        "-0.0": 0,
        '"12.5"': 12_500,
        "0.0005": 1,
        "0.0004": 0,
        "1e-16000": 0,
        "8.64e4": 86_400_000,
        "86400.001": None,
        "-1": None,
        "-1e-9": None,
        LONG_DIGITS: None,
        "1e400": None,
        "1e131000": None,
        '"1e3"': None,
        f'"{LONG_DIGITS}"': None,
        '"-5"': None,
        '"12,5"': None,
        '"fast"': None,
        '"NaN"': None,
        '"٣"': None,
        '"5\\n"': None,
        '""': None,
        "null": None,
        "true": None,
        "[5]": None,
        '{"s": 5}': None,
    }
    assert read_values(engine, "response_time_ms", "time_spent_sec", times_ms) == times_ms


def test_hints_are_null_when_unknown_and_hint_used_says_the_same(engine: Engine) -> None:
    hints = {
        "0": 0,
        "1": 1,
        "3.9": 3,
        "0.5": 0,
        '"2"': 2,
        "true": 1,
        "false": 0,
        '"yes"': 1,
        "1000001": None,
        "-1": None,
        "1e400": None,
        '"many"': None,
        "null": None,
        "[1]": None,
        "{}": None,
    }
    assert read_values(engine, "hints", "used_hints", hints) == hints
    used = [row.hint_used for row in read(engine)]
    assert used == [None if n is None else n > 0 for n in hints.values()]


def test_an_item_id_is_any_text_or_number_that_is_not_empty(engine: Engine) -> None:
    ids = ("Q1", "0", 7, 1.5, "", None, True, ["Q1"], {"id": "Q1"}, "'; --", "찬 호", 'a"b\\c\n')
    add(engine, result(*({"question_id": item_id} for item_id in ids), {"is_correct": True}, "Q9", 3, None))
    rows = read(engine, "SELECT item_id FROM attempt_base ORDER BY ordinal")
    assert [row.item_id for row in rows] == ["Q1", "0", "7", "1.5", "'; --", "찬 호", 'a"b\\c\n']


def test_a_topic_falls_back_to_the_questions_and_an_empty_one_is_null(engine: Engine) -> None:
    of_question = {"Q1": "geometry", "Q2": "", "Q3": None}
    said = ("algebra", 7, "", None, True, ["algebra"])
    with engine.begin() as connection:
        add_questions(connection, *({"id": item_id, "topic_id": t} for item_id, t in of_question.items()))
        add_results(connection, *(result({"question_id": "Q1", "topic": topic}) for topic in said))
        add_results(connection, *(result({"question_id": "Q2", "topic": topic}) for topic in said))
        add_results(connection, *(result({"question_id": "Q3", "topic": topic}) for topic in said))
    topics = [
        row.topic_id
        for row in read(engine, "SELECT * FROM attempt ORDER BY item_id, length(session_id), session_id")
    ]
    assert topics[:6] == ["algebra", "7", *["geometry"] * 4]
    assert topics[6:] == ["algebra", "7", None, None, None, None] * 2


def test_an_item_without_a_question_keeps_its_answers(engine: Engine) -> None:
    add(engine, result({"question_id": "unknown"}))
    assert [(row.item_id, row.topic_id) for row in read(engine)] == [("unknown", None)]


# -- times and order -------------------------------------------------------------------------------


def test_an_answer_is_completed_with_its_result_and_started_its_time_before(engine: Engine) -> None:
    corrected_at = NOON + dt.timedelta(hours=3)
    questions = ({"question_id": "Q1", "time_spent_sec": 90.25}, {"question_id": "Q2"})
    add(engine, result(*questions, updated_at=corrected_at))
    first, second = read(engine)
    assert first.completed_at == second.completed_at == corrected_at
    assert first.started_at == corrected_at - dt.timedelta(seconds=90.25)
    assert second.started_at is None


def test_attempts_are_numbered_by_time_then_result_then_ordinal(engine: Engine) -> None:
    later = NOON + dt.timedelta(microseconds=1)
    low, high, last = (uuid.UUID(int=n) for n in (2, 3, 1))
    upper, lower = str(STUDENT).upper(), str(STUDENT)
    repeated = ({"question_id": "Q1"}, {"question_id": "Q2"}, {"question_id": "Q1"})
    add(
        engine,
        result(*repeated, id=last, completed_at=later, user_id=lower),
        result(*repeated, id=high, user_id=upper),
        result(*repeated, id=low, user_id=lower),
        result(*repeated, id=uuid.UUID(int=4), user_id="another"),
    )
    query = (
        "SELECT attempt_no, result_id, ordinal FROM attempt JOIN attempt_base USING (id)"
        " WHERE attempt.item_id = 'Q1' AND attempt.user_id <> 'another' ORDER BY attempt_no"
    )
    expected = [(low, 1), (low, 3), (high, 1), (high, 3), (last, 1), (last, 3)]
    assert [(row.result_id, row.ordinal) for row in read(engine, query)] == expected
    numbers = [row.attempt_no for row in read(engine, "SELECT attempt_no FROM attempt WHERE item_id = 'Q2'")]
    assert sorted(numbers) == [1, 1, 2, 3]


# -- any content at all ----------------------------------------------------------------------------


def test_a_result_without_answers_has_no_attempts(engine: Engine) -> None:
    documents = ["null", "3", "[]", '"questions"', "[[1]]", "{}"]
    values = ("null", '{"0": {}}', '"[{}]"', "[]", '[[], [[]], 1, "a", null, {}]')
    with engine.begin() as connection:
        add_documents(connection, [*documents, *(f'{{"questions": {value}}}' for value in values)])
    assert read(engine) == []


def all_rows(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every column of the view by session, as `naive_attempts` has them, once all have been read."""
    everything = connection.execute(sa.text("SELECT * FROM attempt")).all()
    assert all(isinstance(row.id, int) and isinstance(row.attempt_no, int) for row in everything)
    columns = "ordinal, item_id, correct, response_time_ms, hints, hint_used, topic_id"
    base = connection.execute(
        sa.text(f"SELECT session_id, {columns} FROM attempt_base ORDER BY session_id, ordinal")
    ).all()
    assert len(base) == len(everything)
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for session_id, *values in base:
        rows.setdefault(session_id, []).append(tuple(values))
    return rows


# Every example is rolled back, so that they may share the fixture's database.
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(DOCUMENTS, min_size=5, max_size=25))
def test_no_json_breaks_a_read_and_each_reads_as_the_contract_says(
    engine: Engine, documents: list[str]
) -> None:
    with engine.connect() as connection:
        add_questions(connection, *({"id": item_id, "topic_id": topic} for item_id, topic in TOPICS.items()))
        add_documents(connection, documents)
        expected = {str(n): rows for n, d in enumerate(documents, 1) if (rows := naive_attempts(d))}
        assert all_rows(connection) == expected
        connection.rollback()


# -- speed -----------------------------------------------------------------------------------------


def test_a_filter_on_completed_at_reaches_the_index(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO exam_results (session_id, user_id, result_json, created_at, updated_at)"
                ' SELECT n, \'u\' || n % 100, \'{"questions": [{"question_id": "Q1"}]}\', at, at'
                " FROM (SELECT n, CAST(:noon AS timestamptz) - n * interval '1 hour' AS at"
                "  FROM generate_series(1, 9000) AS n) AS hourly"
            ),
            {"noon": NOON},
        )
        connection.execute(sa.text("ANALYZE exam_results"))
    day = "completed_at >= timestamptz '2026-10-01' AND completed_at < timestamptz '2026-10-02'"
    plan = read(engine, f"EXPLAIN SELECT * FROM attempt_base WHERE {day}")
    assert "ix_exam_results_completed_at" in "\n".join(line[0] for line in plan)
    assert len(read(engine, f"SELECT * FROM attempt_base WHERE {day}")) == 24
