"""Automations that really fire: alerts that arrive, and a crashed run that is run once more."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Crashed, Failed, Pending, Running

from tests.deploy.conftest import prefect_server, save_block
from tests.deploy.projects import Project

pytestmark = pytest.mark.heavy

PATIENCE_SECS = 60
# Time in which an automation that should not fire would have fired: those that do take less than one.
QUIET_SECS = 5
TRIAL = """
work_pools:
  - {name: trial, type: process, description: For trying automations, own_template: false}
batch_pool: trial
notification_block: custom-webhook/alerts
"""


@pytest.fixture(scope="module")
def api_url(tmp_path_factory: pytest.TempPathFactory, prefect_database: str) -> Iterator[str]:
    """A server on PostgreSQL, as in a cluster: SQLite's locks make alerts come late."""
    with prefect_server(tmp_path_factory.mktemp("prefect"), prefect_database) as url:
        yield url


@pytest.fixture(scope="module")
def alerts() -> Iterator[list[dict[str, str]]]:
    """What a webhook was told, in the order in which it came."""
    told: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told.append({"url": f"http://127.0.0.1:{server.server_port}"})
        yield told
        server.shutdown()


@pytest.fixture(scope="module", autouse=True)
def deployed(project: Project, client: SyncPrefectClient, alerts: list[dict[str, str]]) -> None:
    """An environment whose alerts go to the webhook."""
    (project.root / "environments/trial.yaml").write_text(TRIAL)
    data = {
        "name": "alerts",
        "url": alerts.pop()["url"],
        "json_data": {"subject": "{{subject}}", "body": "{{body}}"},
    }
    save_block(client, "custom-webhook/alerts", data)
    assert project.deploy("trial")


def start(client: SyncPrefectClient, name: str) -> UUID:
    """Create a run of a deployment and set it running, as a worker would."""
    deployment = client.read_deployment_by_name(f"{name}/{name}")
    run = client.create_flow_run_from_deployment(deployment.id, parameters={"dry_run": True})
    go(client, run.id, Pending(), Running())
    return run.id


def go(client: SyncPrefectClient, run_id: UUID, *states: State) -> None:
    for state in states:
        client.set_flow_run_state(run_id, state)


def await_run(client: SyncPrefectClient, run_id: UUID, done: Callable[[FlowRun], bool]) -> FlowRun:
    deadline = time.monotonic() + PATIENCE_SECS
    while not done(run := client.read_flow_run(run_id)):
        assert time.monotonic() < deadline, f"{run.state_name}: {run.state}"
        time.sleep(0.2)
    return run


def await_alert(alerts: list[dict[str, str]], subject: str, n: int = 1) -> dict[str, str]:
    deadline = time.monotonic() + PATIENCE_SECS
    while len(found := [alert for alert in alerts if subject in alert["subject"]]) < n:
        assert time.monotonic() < deadline, alerts
        time.sleep(0.2)
    return found[-1]


def test_a_failed_run_is_told(client: SyncPrefectClient, alerts: list[dict[str, str]]) -> None:
    run_id = start(client, "compute-daily-kpis")
    go(client, run_id, Failed(message="No view called attempt"))
    run = client.read_flow_run(run_id)
    if run.state_name == "AwaitingRetry":
        go(client, run_id, Running(), Failed(message="No view called attempt"))
    alert = await_alert(alerts, "compute-daily-kpis failed")
    assert alert["subject"] == "[trial] seedtest: compute-daily-kpis failed"
    assert run.name in alert["body"]
    assert "No view called attempt" in alert["body"]


def test_a_crashed_run_is_told_and_run_once_more_with_its_parameters(
    client: SyncPrefectClient, alerts: list[dict[str, str]]
) -> None:
    run_id = start(client, "mirt-calibrate")
    go(client, run_id, Crashed(message="Out of memory"))
    again = await_run(client, run_id, lambda run: run.state_name == "AwaitingRetry")
    assert again.parameters == {"dry_run": True}
    assert "Out of memory" in await_alert(alerts, "mirt-calibrate failed")["body"]
    go(client, run_id, Pending(), Running(), Crashed(message="Out of memory again"))
    assert "again" in await_alert(alerts, "mirt-calibrate failed", n=2)["body"]
    time.sleep(QUIET_SECS)
    assert client.read_flow_run(run_id).state_name == "Crashed"


def test_a_run_that_crashed_before_it_started_is_only_told(
    client: SyncPrefectClient, alerts: list[dict[str, str]]
) -> None:
    deployment = client.read_deployment_by_name("aggregate-features-daily/aggregate-features-daily")
    run = client.create_flow_run_from_deployment(deployment.id)
    go(client, run.id, Pending(), Crashed(message="The image cannot be pulled"))
    assert "cannot be pulled" in await_alert(alerts, "aggregate-features-daily failed")["body"]
    time.sleep(QUIET_SECS)
    assert client.read_flow_run(run.id).state_name == "Crashed"
