"""Probes and metrics."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.flows import flow
from prefect.settings import get_current_settings
from prefect.testing.utilities import prefect_test_harness
from sqlalchemy.engine import Engine

from seedtest.prefect_client.api import PrefectApi
from tests.api.auth.key_servers import Served
from tests.theta_api.services import PATIENCE_SECS, UPDATE, Service, running

NOW = "2026-11-05T09:30:00Z"


def test_the_process_says_that_it_is_up(service: Service) -> None:
    told = service.client.get("/healthz").json()
    assert (told["status"], told["service"]) == ("ok", "seedtest-api")


def test_without_prefect_the_service_is_ready_but_degraded(service: Service) -> None:
    ready = service.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    checks = ready.json()["checks"]
    assert [checks[name]["ok"] for name in ("database", "prefect", "key_set")] == [True, False, True]


@pytest.fixture(scope="module")
def prefect_url() -> Iterator[str]:
    """A Prefect server with the deployment that works off the queue."""

    @flow(name="update-theta")
    def update() -> None:
        """Do nothing."""

    with prefect_test_harness(server_startup_timeout=120), get_client(sync_client=True) as client:
        client.create_deployment(flow_id=client.create_flow(update), name="update-theta")
        url = get_current_settings().api.url
        assert url is not None
        yield url


@pytest.mark.heavy
def test_with_all_that_it_needs_it_is_ready_and_a_webhook_makes_a_run(
    learners: Engine, learners_url: str, keys: Served, folder: Path, prefect_url: str
) -> None:
    with (
        running(folder, learners_url, keys.url, PREFECT_API_URL=prefect_url) as service,
        PrefectApi(prefect_url) as prefect,
    ):
        ready = service.client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert prefect.runs() == []
        for number in range(5):
            assert service.report(f"s-{number}", "ann", NOW).status_code == 202
        end = time.monotonic() + PATIENCE_SECS
        while not (runs := prefect.runs()):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert len(runs) == 1
        series = 'seedtest_flow_runs{deployment="update-theta"'
        until(lambda: series in service.client.get("/metrics").text, 60)
        until(lambda: service.metric("theta_queue_pending ") == 5, 10)
        assert service.metric("theta_queue_oldest_pending_seconds ") > 0


def until(holds: Callable[[], bool], secs: float) -> None:
    end = time.monotonic() + secs
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_metrics_that_the_alerts_use_are_there_from_the_start(service: Service) -> None:
    service.post(UPDATE, {"user_id": "nobody"})
    for name in (
        'theta_update_total{status="ok"}',
        'theta_update_total{status="noop"}',
        'theta_update_total{status="error"}',
        "theta_update_duration_seconds_bucket",
        "theta_queue_pending ",
        "theta_queue_parked ",
        "theta_queue_oldest_pending_seconds ",
        'theta_jwks_refreshes_total{outcome="ok"}',
        'theta_trigger_total{outcome="failed"}',
        "theta_engine_errors_total ",
        "http_request_duration_seconds_bucket",
    ):
        service.metric(name)


def test_a_request_keeps_the_id_that_it_came_with(service: Service) -> None:
    assert (
        service.client.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    odd = service.client.get("/healthz", headers={"X-Request-Id": "a b"}).headers["x-request-id"]
    assert len(odd) == 32


def test_there_are_no_documentation_pages(service: Service) -> None:
    assert service.client.get("/docs").status_code == 404
    assert service.client.get("/redoc").status_code == 404
    assert service.client.get("/openapi.json").json()["info"]["title"] == "seedtest θ API"
