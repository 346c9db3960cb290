"""Importing the MathE answers, which carry no times: the times made up, and the real file."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.errors import ImportFileError
from seedtest.local.importer import ImportSummary, import_file

HEADER = "Student ID;Student Country;Question ID;Type of Answer;Question Level;Topic;Subtopic;Keywords"
START = dt.date(2026, 9, 1)

Import = Callable[..., ImportSummary]


@pytest.fixture
def run(engine: Engine, tmp_path: Path) -> Import:
    def run(
        *lines: str, start: dt.date | None = START, days: int | None = 60, **options: Any
    ) -> ImportSummary:
        path = tmp_path / "mathe.csv"
        path.write_bytes("\r\n".join([HEADER, *lines, ""]).encode("windows-1252"))
        return import_file(
            engine, path, format="mathe", start=start, days=days, rejects=tmp_path / "rejected.csv", **options
        )

    return run


def answer(student: str, question: str, correct: int = 1) -> str:
    return f"{student};Ireland;{question};{correct};Basic;Probability ;Chance;Newton’s method,Dice"


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def answered(engine: Engine, student: str) -> list[tuple[str, str]]:
    query = (
        "SELECT e ->> 'question_id', e ->> 'answered_at' FROM exam_results"
        " CROSS JOIN jsonb_array_elements(result_json -> 'questions') WITH ORDINALITY AS q (e, ordinal)"
        f" WHERE user_id = '{student}' ORDER BY created_at, ordinal"
    )
    return [(item, time[:16]) for item, time in rows(engine, query)]


def test_answers_are_spread_over_the_days_in_file_order(run: Import, engine: Engine) -> None:
    summary = run(*(answer("7", f"q{k}") for k in range(5)), answer("8", "q0"), days=3)
    # The i-th of n answers falls on day floor(i · 3 / n).
    assert answered(engine, "7") == [
        ("q0", "2026-09-01T10:00"),
        ("q1", "2026-09-01T10:02"),
        ("q2", "2026-09-02T10:00"),
        ("q3", "2026-09-02T10:02"),
        ("q4", "2026-09-03T10:00"),
    ]
    assert answered(engine, "8") == [("q0", "2026-09-01T10:00")]
    assert summary.sessions_new == 4
    assert any("made up" in note and "2026-09-01 to 2026-09-03" in note for note in summary.notes)


def test_answers_of_one_learner_keep_the_order_of_the_file_among_those_of_others(
    run: Import, engine: Engine
) -> None:
    run(answer("7", "b"), answer("8", "x"), answer("7", "a"), answer("7", "b"), days=1)
    assert [item for item, _ in answered(engine, "7")] == ["b", "a", "b"]
    attempts = rows(engine, "SELECT item_id, attempt_no FROM attempt WHERE user_id = '7' AND item_id = 'b'")
    assert sorted(attempts) == [("b", 1), ("b", 2)]


def test_more_answers_than_a_day_holds_stay_within_the_day(run: Import, engine: Engine) -> None:
    run(*(answer("7", f"q{k}") for k in range(1000)), days=1)
    times = answered(engine, "7")
    assert [item for item, _ in times] == [f"q{k}" for k in range(1000)]
    assert {time[:10] for _, time in times} == {"2026-09-01"}


def test_items_are_described_by_their_keywords_and_never_tagged(run: Import, engine: Engine) -> None:
    run(answer("7", "q0"))
    assert rows(engine, "SELECT id, content, topic_id, meta FROM question") == [
        (
            "q0",
            "Newton’s method,Dice",
            "Probability",
            {
                "level": "Basic",
                "subtopic": "Chance",
                "keywords": "Newton’s method,Dice",
                "source": "mathe",
            },
        )
    ]


def test_bad_rows_are_rejected_and_take_no_place_in_time(run: Import, engine: Engine) -> None:
    summary = run(answer("7", "q0"), answer("7", "q1", correct=9), ";;;;", answer("7", "q2"), days=2)
    assert (summary.attempts, summary.rows_rejected, summary.rows_read) == (2, 2, 4)
    assert answered(engine, "7") == [("q0", "2026-09-01T10:00"), ("q2", "2026-09-02T10:00")]


def test_start_and_days_are_demanded(run: Import) -> None:
    for missing in ({"start": None}, {"days": None}):
        with pytest.raises(ImportFileError, match="--start 2026-09-01 --days 60"):
            run(answer("7", "q0"), **missing)
    with pytest.raises(ImportFileError, match="--days is 0"):
        run(answer("7", "q0"), days=0)
    with pytest.raises(ImportFileError, match="--map belongs to --format attempts"):
        run(answer("7", "q0"), mapping={"user_id": "Student ID"})


def test_answers_imported_over_other_days_are_noted(run: Import) -> None:
    run(answer("7", "q0"))
    other = run(answer("7", "q0"), start=START + dt.timedelta(days=9))
    assert other.attempts_new == 1
    assert any("1 sessions of an import over other days" in note for note in other.notes)


def test_another_file_is_refused(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("user_id,item_id\nann,Q1\n")
    with pytest.raises(ImportFileError, match=r"no column Student ID \(for user_id\).*--format attempts"):
        import_file(engine, path, format="mathe", start=START, days=60)


def test_the_real_file_loads_completely_and_once(engine: Engine, shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "mathe" / "mathe.csv"

    def load() -> ImportSummary:
        return import_file(
            engine, path, format="mathe", start=START, days=60, rejects=tmp_path / "rejected.csv"
        )

    first = load()
    assert (first.attempts_new, first.learners, first.items, first.questions_new) == (9546, 372, 833, 833)
    assert (first.rows_read, first.rows_rejected, first.rejects) == (9546, 0, None)
    counts = (
        "SELECT count(*), count(DISTINCT user_id), count(DISTINCT item_id), min(completed_at)::date,"
        " max(completed_at)::date, count(DISTINCT (user_id, item_id)) FROM attempt"
    )
    expected = [(9546, 372, 833, START, dt.date(2026, 10, 30), 6782)]
    assert rows(engine, counts) == expected
    before = rows(engine, "SELECT * FROM exam_results ORDER BY id")
    again = load()
    assert (again.attempts_new, again.attempts_known, again.questions_new) == (0, 9546, 0)
    assert rows(engine, "SELECT * FROM exam_results ORDER BY id") == before
