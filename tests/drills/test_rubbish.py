"""Rubbish in result_json: the night completes, counts it, and no other learner's row changes."""

import json
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from flows.aggregate_features_daily import aggregate_features_daily
from flows.compute_daily_kpis import compute_daily_kpis
from tests.conftest import Address
from tests.db.exam_results import add_questions
from tests.db.naive_attempts import DOCUMENTS, TOPICS, naive_attempts
from tests.drills.conftest import Snapshot, changed_database
from tests.flows.conftest import LAST_DAY, PLAN
from tests.flows.snapshots import RESULTS, scalar, snapshot

N_ANSWERS = PLAN.users * PLAN.answers
# Where the attempt's topic stands in a naive attempt.
TOPIC = 6
DRAWN = st.lists(DOCUMENTS, min_size=25, max_size=40)
NO_LIST, NO_QUESTION = "results whose questions are no list", "answers without a question_id"

INSERT = f"""
INSERT INTO exam_results (session_id, user_id, result_json, created_at, updated_at)
SELECT 'rubbish-' || n, 'rubbish-' || n % 5, CAST(document AS jsonb), moment, moment
FROM unnest(CAST(:documents AS text[])) WITH ORDINALITY AS d (document, n)
CROSS JOIN LATERAL (SELECT timestamptz '{LAST_DAY} 12:00Z' - n % 7 * interval '1 day' AS moment) AS m
"""


def n_elements(document: str) -> int | None:
    """How many elements the list of questions has; None where there is no such list."""
    parsed = json.loads(document)
    questions = parsed.get("questions") if isinstance(parsed, dict) else None
    return len(questions) if isinstance(questions, list) else None


def check(engine: Engine, documents: Sequence[str], undisturbed: Snapshot) -> None:
    with engine.begin() as connection:
        add_questions(connection, *({"id": name, "topic_id": topic} for name, topic in TOPICS.items()))
        connection.execute(sa.text(INSERT), {"documents": list(documents)})
    features = aggregate_features_daily.with_options(retries=0)(date=LAST_DAY)
    kpis = compute_daily_kpis.with_options(retries=0)(date=LAST_DAY)

    read = [naive_attempts(document) for document in documents]
    sizes = [n_elements(document) for document in documents]
    n_read = sum(map(len, read))
    # Features read only the learners with an answer in their days.
    assert kpis.counts["answers loaded"] == N_ANSWERS + n_read
    for summary in (features, kpis):
        assert summary.dropped.get(NO_LIST, 0) == sizes.count(None)
        assert summary.dropped.get(NO_QUESTION, 0) == sum(size or 0 for size in sizes) - n_read
    attempts = "SELECT coalesce(sum(attempts), 0) FROM features_topic_daily WHERE user_id LIKE 'rubbish-%'"
    assert scalar(engine, attempts) == sum(row[TOPIC] is not None for rows in read for row in rows)
    with engine.begin() as connection:
        for table in RESULTS:
            connection.execute(sa.text(f"DELETE FROM {table} WHERE user_id LIKE 'rubbish-%'"))
    assert snapshot(engine, RESULTS) == {table: undisturbed[table] for table in RESULTS}


@pytest.mark.parametrize("examples", [3, pytest.param(30, marks=pytest.mark.heavy)])
def test_rubbish_harms_no_other_learner(
    examples: int,
    server: Address,
    template: str,
    undisturbed: Snapshot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        # Shrinking would repeat whole nights; the documents that failed are shown as they are.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(DRAWN)
    def nights(documents: list[str]) -> None:
        with changed_database(server, template, monkeypatch, BATCH_ANSWERS="600") as engine:
            check(engine, documents, undisturbed)

    nights()
