"""The database restarts under a run, refuses connections at its start, or somebody holds its locks."""

import re
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from seedtest.batches.features import STAGE as FEATURES
from seedtest.batches.kpis import STAGE as KPIS
from seedtest.db.answer_packs import LOCK
from seedtest.db.locks import stage_lock
from seedtest.errors import DatabaseError, LockTimeoutError
from seedtest.local.postgres import EmbeddedPostgres
from tests.drills.conftest import WRITTEN, Snapshot, opened
from tests.drills.processes import Run, wait_until
from tests.drills.sessions import (
    ROWS,
    alone,
    held,
    n_digests,
    n_half_written,
    run_both,
    waits_for_a_lock,
)
from tests.flows.conftest import LAST_DAY
from tests.flows.snapshots import snapshot

# -- restarts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "how"),
    [
        (KPIS, signal.SIGINT),
        pytest.param(FEATURES, signal.SIGINT, marks=pytest.mark.heavy),
        pytest.param(FEATURES, signal.SIGQUIT, marks=pytest.mark.heavy),
        pytest.param(KPIS, signal.SIGQUIT, marks=pytest.mark.heavy),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else value,
)
def test_postgresql_restarted_in_the_middle(
    stage: str,
    how: signal.Signals,
    undisturbed: Snapshot,
    postgres: EmbeddedPostgres,
    engine: Engine,
    database_url: str,
    tmp_path: Path,
) -> None:
    """By a fast shutdown, or an immediate one as in a crash."""
    with Run(stage, tmp_path / "log", retries=1, retry_delay_seconds=1) as run:
        wait_until(lambda: n_digests(engine, stage) > 0, "the first batch is committed")
        with held(database_url, f"LOCK TABLE {ROWS[stage][0]} IN SHARE MODE"):
            wait_until(lambda: waits_for_a_lock(engine, stage), "a batch has begun to write")
            process = postgres.process()
            assert process is not None
            process.send_signal(how)
            process.wait(60)
            postgres.start()
        assert run.completed(), run.output
    assert f"DatabaseError: The database broke {stage} off" in run.output
    assert "it restarted, was stopped, or the network failed" in run.output
    assert "Traceback" not in run.output
    engine.dispose()
    run_both()
    assert snapshot(engine, WRITTEN) == undisturbed


@pytest.mark.parametrize("refused_secs", [1, pytest.param(20, marks=pytest.mark.heavy)])
def test_connections_refused_at_the_start(
    refused_secs: int,
    undisturbed: Snapshot,
    postgres: EmbeddedPostgres,
    engine: Engine,
    tmp_path: Path,
) -> None:
    engine.dispose()
    postgres.stop()
    try:
        with Run(FEATURES, tmp_path / "log", retries=0) as run:
            wait_until(lambda: "The database does not answer; waiting" in run.output, "it is refused")
            time.sleep(refused_secs)
            postgres.start()
            assert run.completed(), run.output
    finally:
        postgres.start()
    run_both()
    assert snapshot(engine, WRITTEN) == undisturbed


# -- locks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "lock", "named"),
    [
        (KPIS, "LOCK TABLE weekly_kpi IN ACCESS EXCLUSIVE MODE", "weekly_kpi"),
        (FEATURES, "LOCK TABLE exam_results IN ACCESS EXCLUSIVE MODE", "exam_results"),
        (FEATURES, LOCK.replace(":part", "'7'"), "the answer packs"),
    ],
)
def test_a_lock_held_by_somebody_is_told_with_the_holder(
    stage: str, lock: str, named: str, engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCK_TIMEOUT_SECS", "0.3")
    with held(database_url, lock), pytest.raises(DatabaseError) as raised:
        alone(stage)(date=LAST_DAY)
    assert re.fullmatch(
        rf"The database broke {stage} off \(canceling statement due to lock timeout\)\. Another session held "
        r"a lock for longer than LOCK_TIMEOUT_SECS\. At this moment 'somebody's migration' \(PID \d+\) holds "
        rf"{named}\. Wait for that session or end it \(SELECT pg_terminate_backend\(PID\)\), and run it "
        r"again: what it had committed stands, nothing is half written, and it goes on from there\.",
        str(raised.value),
    )
    assert n_half_written(engine, stage) == 0


def test_a_statement_that_waits_too_long_is_told_with_the_holder(
    undisturbed: Snapshot, engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, held(database_url, "LOCK TABLE weekly_kpi IN SHARE MODE"):
        patch.setenv("STATEMENT_TIMEOUT_SECS", "1")
        told = (
            r"statement timeout\)\. .*STATEMENT_TIMEOUT_SECS.*'somebody's migration' \(PID \d+\) holds weekly"
        )
        with pytest.raises(DatabaseError, match=told):
            alone(KPIS)(date=LAST_DAY)
    run_both()
    assert snapshot(engine, WRITTEN) == undisturbed


@pytest.mark.parametrize("stage", [FEATURES, KPIS])
def test_a_stage_held_by_another_run_is_told_with_the_holder(stage: str, database_url: str) -> None:
    named = r"'pytest' \(database process \d+, .* or cancel it; LOCK_WAIT_SECS"
    with (
        opened(database_url) as other,
        stage_lock(other, stage, wait_secs=0),
        pytest.raises(LockTimeoutError, match=named),
    ):
        alone(stage)(date=LAST_DAY)
