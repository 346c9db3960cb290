"""SIGKILL at random moments, in the middle of a batch and between two; then the run is started again."""

import time
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from flows.mirt_calibrate import mirt_calibrate
from seedtest.batches.features import STAGE as FEATURES
from seedtest.batches.kpis import STAGE as KPIS
from tests.drills.conftest import WRITTEN, Snapshot
from tests.drills.processes import Run, wait_until
from tests.drills.sessions import (
    ROWS,
    held,
    n_digests,
    n_half_written,
    n_sessions,
    run_both,
    wait_until_gone,
    waits_for_a_lock,
)
from tests.flows.conftest import LAST_DAY
from tests.flows.snapshots import ESTIMATES, scalar, snapshot

# A run of the cohort's size is at the database for about so long.
RUN_SECS = 1.5
CALIBRATED = (*ESTIMATES, "mirt_fit_meta", "mirt_item_params_history")


def moments(seed: int, kills: int) -> list[float]:
    """Seconds after which to kill, drawn from all of a run's."""
    return [float(secs) for secs in np.random.default_rng(seed).uniform(0, RUN_SECS, kills)]


def kill_after(stage: str, engine: Engine, log: Path, secs: float) -> None:
    """Kill a run some time after it has come to the database."""
    with Run(stage, log) as run:
        wait_until(
            lambda: n_sessions(engine, stage) > 0 or not run.is_alive, f"{stage} comes to the database"
        )
        time.sleep(secs)
        run.kill()
    wait_until_gone(engine, stage)


@pytest.mark.parametrize("stage", [FEATURES, pytest.param(KPIS, marks=pytest.mark.heavy)])
def test_killed_within_a_batch_and_between_batches(
    stage: str, undisturbed: Snapshot, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with Run(stage, tmp_path / "within") as run:
        wait_until(lambda: n_digests(engine, stage) > 0, "the first batch is committed")
        # Nobody can write the table; readers notice nothing.
        with held(database_url, f"LOCK TABLE {ROWS[stage][0]} IN SHARE MODE"):
            wait_until(lambda: waits_for_a_lock(engine, stage), "a batch has begun to write")
            before = n_digests(engine, stage)
            run.kill()
    # What its session still writes, now that nothing is in its way, must not count.
    wait_until_gone(engine, stage)
    assert n_digests(engine, stage) == before > 0
    assert n_half_written(engine, stage) == 0

    with Run(stage, tmp_path / "between") as run:
        wait_until(lambda: n_digests(engine, stage) > before, "another batch is committed")
        run.kill()
    wait_until_gone(engine, stage)
    assert n_half_written(engine, stage) == 0

    run_both()
    assert snapshot(engine, WRITTEN) == undisturbed


@pytest.mark.parametrize("stage", [pytest.param(FEATURES, marks=pytest.mark.heavy), KPIS])
@pytest.mark.parametrize(
    ("seed", "kills"), [(1, 2), *(pytest.param(n, 6, marks=pytest.mark.heavy) for n in range(2, 7))]
)
def test_killed_at_random_moments(
    seed: int, kills: int, stage: str, undisturbed: Snapshot, engine: Engine, tmp_path: Path
) -> None:
    for number, secs in enumerate(moments(seed, kills)):
        kill_after(stage, engine, tmp_path / str(number), secs)
        assert n_half_written(engine, stage) == 0
    run_both()
    assert snapshot(engine, WRITTEN) == undisturbed


@pytest.mark.parametrize(
    ("seed", "kills"), [(1, 2), *(pytest.param(n, 6, marks=pytest.mark.heavy) for n in range(2, 5))]
)
def test_a_calibration_killed_at_random_moments(
    seed: int, kills: int, engine: Engine, tmp_path: Path
) -> None:
    expected = snapshot(engine, ESTIMATES)
    with engine.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {', '.join(CALIBRATED)} CASCADE"))
    nothing = snapshot(engine, ESTIMATES)
    for number, secs in enumerate(moments(seed, kills)):
        kill_after("mirt-calibrate", engine, tmp_path / str(number), secs)
        assert snapshot(engine, ESTIMATES) in (nothing, expected)
        fits = scalar(engine, "SELECT count(*) FROM mirt_fit_meta")
        assert scalar(engine, "SELECT count(DISTINCT run_id) FROM mirt_item_params_history") == fits
    mirt_calibrate(date=LAST_DAY)
    assert snapshot(engine, ESTIMATES) == expected
