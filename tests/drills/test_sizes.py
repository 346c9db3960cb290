"""A learner with far more answers than a batch should have, and a database without any."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from flows.aggregate_features_daily import aggregate_features_daily
from flows.compute_daily_kpis import compute_daily_kpis
from seedtest.batches.features import STAGE as FEATURES
from seedtest.batches.kpis import STAGE as KPIS
from tests.conftest import Address
from tests.drills.conftest import Snapshot, changed_database
from tests.drills.processes import Run
from tests.flows.conftest import LAST_DAY
from tests.flows.snapshots import RESULTS, scalar, snapshot

# A paper has a hundred answers.
BUSY = f"""
INSERT INTO exam_results (session_id, user_id, result_json, created_at, updated_at)
SELECT 'busy-' || n, 'busy', jsonb_build_object('questions', paper.questions), moment, moment
FROM generate_series(1, :papers) AS n
CROSS JOIN LATERAL (
    SELECT timestamptz '{LAST_DAY} 23:00Z' - n % 50 * interval '1 day' - n * interval '1 second' AS moment
) AS m
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('question_id', item.id, 'is_correct', (k * n) % 3 > 0,
        'time_spent_sec', (k * 7 + n) % 90 + 1, 'used_hints', k % 2)) AS questions
    FROM generate_series(1, 100) AS k
    JOIN (
        SELECT id, row_number() OVER (ORDER BY id) AS place, count(*) OVER () AS items FROM question
    ) AS item ON item.place = (k + n) % item.items + 1
) AS paper
"""
# The limits of the pods (prefect.yaml).
LIMIT_MB = {KPIS: 512, FEATURES: 1024}


@pytest.mark.parametrize("papers", [100, pytest.param(1000, marks=pytest.mark.heavy)])
def test_one_learner_with_very_many_answers(
    papers: int,
    undisturbed: Snapshot,
    engine: Engine,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(BUSY), {"papers": papers})
    for stage in (FEATURES, KPIS):
        with Run(stage, tmp_path / stage, retries=0) as run:
            assert run.completed(), run.output
        record_property(f"{stage}: peak MB with {100 * papers} answers of one learner", run.peak_mb)
        assert run.peak_mb <= LIMIT_MB[stage]
    written = "SELECT sum(attempts) FROM features_topic_daily WHERE user_id = 'busy'"
    given = f"SELECT count(*) FROM attempt WHERE user_id = 'busy' AND completed_at >= date '{LAST_DAY}' - 6"
    assert scalar(engine, written) == scalar(engine, given) > 0
    known = scalar(
        engine, "SELECT kpis FROM weekly_kpi WHERE user_id = 'busy' ORDER BY week_start DESC LIMIT 1"
    )
    assert None not in {known[kpi] for kpi in ("I_t", "E_t", "R_t", "A_t", "S")}
    with engine.begin() as connection:
        for table in RESULTS:
            connection.execute(sa.text(f"DELETE FROM {table} WHERE user_id = 'busy'"))
    assert snapshot(engine, RESULTS) == {table: undisturbed[table] for table in RESULTS}


def test_an_empty_database(
    server: Address, empty_template: str, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    with changed_database(server, empty_template, monkeypatch) as engine:
        features = aggregate_features_daily.with_options(retries=0)(date=LAST_DAY)
        kpis = compute_daily_kpis.with_options(retries=0)(date=LAST_DAY)
        assert features.counts["answers loaded"] == kpis.counts["answers loaded"] == 0
        assert {rows for rows, _ in snapshot(engine, RESULTS).values()} == {0}
    assert sum(line.startswith("0 answers in scope") for line in log) == 2
