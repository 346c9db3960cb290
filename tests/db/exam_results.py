"""Results and questions as the exam platform writes them."""

import datetime as dt
import itertools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.schema import ExamResult, Question

NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)

_session_numbers = itertools.count()


def result(
    *questions: Any, user_id: str | None = "ann", completed_at: dt.datetime = NOON, **columns: Any
) -> dict[str, Any]:
    """A row of exam_results with these elements of `questions`."""
    return {
        "session_id": f"session-{next(_session_numbers)}",
        "user_id": user_id,
        "result_json": {"questions": list(questions)},
        "created_at": completed_at,
        "updated_at": completed_at,
        "status": "ready",
        "exam_id": None,
    } | columns


def add_results(connection: Connection, *results: dict[str, Any]) -> None:
    """Insert results; all of one call have the same columns."""
    connection.execute(sa.insert(ExamResult), list(results))


def add_documents(connection: Connection, documents: Sequence[str], user_id: str = "ann") -> None:
    """Insert a result for each text of a result_json, numbered from 1 as session_id."""
    connection.execute(
        sa.text(
            "INSERT INTO exam_results (session_id, user_id, result_json)"
            " SELECT number, :user_id, CAST(document AS jsonb)"
            " FROM unnest(CAST(:documents AS text[])) WITH ORDINALITY AS d (document, number)"
        ),
        {"documents": list(documents), "user_id": user_id},
    )


def add_questions(connection: Connection, *questions: dict[str, Any]) -> None:
    """Insert items; all of one call have the same columns."""
    connection.execute(sa.insert(Question), [{"content": "?"} | question for question in questions])
