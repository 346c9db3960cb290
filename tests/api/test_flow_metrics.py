"""How the flows run, as /metrics tells it: a real Prefect server, and one that is not there."""

import logging
import time
from collections.abc import Iterator
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.flows import flow
from prefect.settings import get_current_settings
from prefect.states import Completed, Failed, Pending, Running, Scheduled
from prefect.testing.utilities import prefect_test_harness
from prometheus_client import CollectorRegistry, generate_latest

from seedtest.api.flow_metrics import FlowMetrics, read_runs
from seedtest.prefect_client.api import PrefectApi
from tests.local.conftest import free_port

NAME = "mirt-calibrate"


@flow(name=NAME)
def calibrate() -> None:
    """Do nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with prefect_test_harness(server_startup_timeout=120):
        url = get_current_settings().api.url
        assert url is not None
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployment(client: SyncPrefectClient) -> UUID:
    return client.create_deployment(flow_id=client.create_flow(calibrate), name=NAME)


def run(client: SyncPrefectClient, deployment: UUID, *states: State[object]) -> UUID:
    run_id = client.create_flow_run_from_deployment(deployment).id
    for state in states:
        client.set_flow_run_state(run_id, state, force=True)
    return run_id


def samples(collector: FlowMetrics) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}


@pytest.mark.heavy
def test_states_and_times_of_runs_are_told(url: str, client: SyncPrefectClient, deployment: UUID) -> None:
    run(client, deployment, Pending(), Running(), Completed())
    run(client, deployment, Pending(), Running(), Completed())
    before_failure = time.time()
    run(client, deployment, Pending(), Running(), Failed())
    run(client, deployment, Scheduled(name="Late"))
    run(client, deployment, Pending())
    run(client, deployment, Pending(), Running())
    with FlowMetrics(lambda: PrefectApi(url, patience_secs=5)) as metrics:
        deadline = time.monotonic() + 30
        while not (seen := samples(metrics)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    counted = {
        state: seen[f'seedtest_flow_runs{{deployment="{NAME}",state="{state}"}}']
        for state in ("completed", "failed", "crashed", "cancelled", "late", "pending", "running")
    }
    assert counted == {
        "completed": 2,
        "failed": 1,
        "crashed": 0,
        "cancelled": 0,
        "late": 1,
        "pending": 1,
        "running": 1,
    }
    of = f'{{deployment="{NAME}"}}'
    success = seen[f"seedtest_flow_run_last_success_timestamp_seconds{of}"]
    failure = seen[f"seedtest_flow_run_last_failure_timestamp_seconds{of}"]
    assert success <= failure
    assert before_failure - 1 <= failure <= time.time() + 1
    for name in ("pending_seconds", "running_seconds"):
        assert 0 < seen[f"seedtest_flow_run_{name}{of}"] < 120
    assert seen[f"seedtest_flow_run_last_duration_seconds{of}"] >= 0


@pytest.mark.heavy
def test_a_deployment_that_never_ran_has_counts_and_no_times(url: str, client: SyncPrefectClient) -> None:
    client.create_deployment(flow_id=client.create_flow(calibrate), name="never-ran")
    with PrefectApi(url, patience_secs=5) as api:
        never = next(runs for runs in read_runs(api) if runs.deployment == "never-ran")
    assert set(never.n_by_state.values()) == {0}
    assert (never.last_success_at, never.last_failure_at, never.last_duration_secs) == (None, None, None)


def test_a_server_that_is_away_is_told_once_and_nothing_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with (
        caplog.at_level(logging.WARNING),
        FlowMetrics(lambda: PrefectApi(nobody, patience_secs=0), interval_secs=0.05) as metrics,
    ):
        deadline = time.monotonic() + 10
        while not caplog.records:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        assert samples(metrics) == {}
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "How the flows run is not known"
    ]
