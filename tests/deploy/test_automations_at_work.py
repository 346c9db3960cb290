"""Automations with a real worker and in real time: a killed run that is run again, and runs that hang."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, WorkPoolStatus
from prefect.events import Event, RelatedResource, Resource
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.states import Pending, Running

from deploy.automations import our_automations
from tests.deploy.conftest import prefect_server
from tests.deploy.projects import Project

pytestmark = pytest.mark.heavy

PATIENCE_SECS = 200
# The shortest that Prefect takes.
SHORT = timedelta(seconds=10)
QUICK = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_WORKER_HEARTBEAT_SECONDS": "1"}
TRIAL = """
work_pools:
  - {name: trial, type: process, description: For trying automations, own_template: false}
batch_pool: trial
"""
FLOW = '''
import os
import signal
from pathlib import Path

from prefect import flow


@flow(name="killed-once")
def killed_once(mark: str) -> None:
    """Be killed, as by a node out of memory, unless it has happened already.

    Args:
        mark: File that says that it has.
    """
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
'''
ENTRY = """
  - name: killed-once
    version: "{{ $SEEDTEST_VERSION }}"
    entrypoint: flows/killed_once.py:killed_once
    description: Is killed once.
    tags: [trial]
    schedules: []
    concurrency_limit: *waits
    enforce_parameter_schema: true
    work_pool: {name: "{{ $SEEDTEST_BATCH_POOL }}"}
"""


@pytest.fixture(scope="module")
def api_url(tmp_path_factory: pytest.TempPathFactory, prefect_database: str) -> Iterator[str]:
    """A server on PostgreSQL, as in a cluster."""
    with prefect_server(tmp_path_factory.mktemp("prefect"), prefect_database) as url:
        yield url


@pytest.fixture(scope="module", autouse=True)
def deployed(project: Project, client: SyncPrefectClient) -> None:
    """An environment with one more deployment."""
    (project.root / "environments/trial.yaml").write_text(TRIAL)
    (project.root / "flows/killed_once.py").write_text(FLOW)
    registry = project.root / "prefect.yaml"
    registry.write_text(registry.read_text() + ENTRY)
    assert "automation killed-once failed: created" in project.deploy("trial")


@contextmanager
def worker(project: Project) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "trial", "--type", "process"]
    environment = {**os.environ, "PREFECT_API_URL": project.api_url, **QUICK}
    process = subprocess.Popen(command, cwd=project.root, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def create(client: SyncPrefectClient, name: str, **parameters: object) -> UUID:
    deployment = client.read_deployment_by_name(f"{name}/{name}")
    return client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id


def await_run(client: SyncPrefectClient, run_id: UUID, done: Callable[[FlowRun], bool]) -> FlowRun:
    deadline = time.monotonic() + PATIENCE_SECS
    while not done(run := client.read_flow_run(run_id)):
        assert time.monotonic() < deadline, f"{run.state_name}: {run.state}"
        time.sleep(0.5)
    return run


def test_a_run_killed_by_the_system_is_run_again_and_completes(
    project: Project, client: SyncPrefectClient, tmp_path: Path
) -> None:
    with worker(project):
        run_id = create(client, "killed-once", mark=str(tmp_path / "mark"))
        run = await_run(client, run_id, lambda run: run.state_name == "Completed")
    names = [state.name for state in client.read_flow_run_states(run_id)]
    # A process worker under load may report one crash twice, and later than the run has been submitted again.
    assert run.run_count in {2, 3}, names
    assert names.index("Crashed") < names.index("AwaitingRetry") < names.index("Completed")


def test_runs_that_hang_and_pools_without_a_worker_are_found_by_the_same_triggers_in_a_shorter_time(
    project: Project, client: SyncPrefectClient
) -> None:
    """Ten seconds stand for the minutes and hours of the automations as they are deployed."""
    for automation in our_automations(client).values():
        if isinstance(automation.trigger, EventTrigger) and automation.trigger.posture is Posture.Proactive:
            trigger = automation.trigger.model_copy(update={"within": SHORT})
            shorter = AutomationCore(name=automation.name, trigger=trigger, actions=automation.actions)
            client.update_automation(automation.id, shorter)
    with worker(project):
        await_pool(client, WorkPoolStatus.READY)
    overdue, pending, lost = (create(client, name) for name in ("mirt-calibrate", "nightly", "nightly"))
    for run_id in (overdue, pending, lost):
        client.set_flow_run_state(run_id, Pending())
    for run_id in (overdue, lost):
        client.set_flow_run_state(run_id, Running())
    flow_id = client.read_flow_run(lost).flow_id
    flow = {"prefect.resource.id": f"prefect.flow.{flow_id}", "prefect.resource.role": "flow"}
    heartbeat = Event(
        event="prefect.flow-run.heartbeat",
        resource=Resource({"prefect.resource.id": f"prefect.flow-run.{lost}"}),
        related=[RelatedResource({**flow, "prefect.resource.name": "nightly"})],
    )
    # Not by emit_event: it sends to whichever server this process has sent events to first.
    client.request("POST", "/events", json=[heartbeat.model_dump(mode="json")]).raise_for_status()
    await_run(client, overdue, lambda run: run.state_name in {"Cancelling", "Cancelled"})
    await_triggered(client, {"run over 7200 s", "slow calibration", "pending run", "lost run", "no worker"})


def await_pool(client: SyncPrefectClient, status: WorkPoolStatus) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while client.read_work_pool("trial").status is not status:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def await_triggered(client: SyncPrefectClient, wanted: set[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    body = {"filter": {"event": {"name": ["prefect.automation.triggered"]}}, "limit": 50}
    while True:
        events = client.request("POST", "/events/filter", json=body).json()["events"]
        seen = {event["resource"]["prefect.resource.name"].removeprefix("seedtest: ") for event in events}
        if wanted <= seen:
            return
        assert time.monotonic() < deadline, seen
        time.sleep(0.5)
