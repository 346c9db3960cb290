"""A real Prefect server for the flows' tests, and a small cohort in a real database."""

from collections.abc import Iterator
from datetime import date

import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness
from sqlalchemy.engine import Engine

from seedtest.local.simulate import SimulationPlan, load_cohort, simulate
from tests.conftest import listening

LAST_DAY = date(2026, 3, 1)
PLAN = SimulationPlan(users=60, items=40, topics=4, days=60, seed=7, end=LAST_DAY, answers=30)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server of the tests' own; without the heartbeat, whose thread costs a second a flow."""
    results = tmp_path_factory.mktemp("results")
    changed = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOCAL_STORAGE_PATH: results}
    with prefect_test_harness(server_startup_timeout=120), temporary_settings(changed):
        yield


@pytest.fixture
def environment(prefect_server: None, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a flow run: its database, and no long waits."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("LOCK_WAIT_SECS", "0.5")


@pytest.fixture
def cohort(environment: None, engine: Engine) -> Engine:
    """The database with a simulated cohort."""
    load_cohort(engine, simulate(PLAN))
    return engine


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What flow runs logged while the test ran."""
    with listening("prefect.flow_runs") as lines:
        yield lines
