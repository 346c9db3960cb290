"""Runs of deployments, taken up by a thread of the test's instead of a worker: a real server, real flows."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments.runner import RunnerDeployment
from prefect.flow_engine import run_flow
from prefect.states import Pending

# What becomes of a run that is due: None lets it run, scheduled leaves it waiting, another state is set.
Fate = Callable[[FlowRun], State[Any] | None]
LOOK_SECS = 0.05


def deploy(flow: Flow[..., Any]) -> None:
    """Register a flow as a deployment of its own name."""
    deployment = flow.to_deployment(flow.name)
    if not isinstance(deployment, RunnerDeployment):
        raise TypeError("a deployment is made synchronously here")
    deployment.apply()


def runs_of(client: SyncPrefectClient, flow: Flow[..., Any]) -> list[FlowRun]:
    """Return the deployment's runs in the order that they were asked for."""
    deployment = client.read_deployment_by_name(f"{flow.name}/{flow.name}")
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"deployment_id": {"any_": [deployment.id]}}),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )
    return sorted(found, key=lambda run: run.created or dt.datetime.max.replace(tzinfo=dt.UTC))


class Taker:
    """Takes up a deployment's scheduled runs, one after the other."""

    def __init__(self, flow: Flow[..., Any], fate: Fate = lambda _: None) -> None:
        self._flow, self._fate = flow, fate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="taker")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(60)

    def _work(self) -> None:
        with get_client(sync_client=True) as client:
            while not self._stopping.wait(LOOK_SECS):
                for run in runs_of(client, self._flow):
                    if run.state is not None and run.state.is_scheduled() and _is_due(run):
                        self._take(client, run)

    def _take(self, client: SyncPrefectClient, run: FlowRun) -> None:
        fate = self._fate(run)
        if fate is not None:
            if not fate.is_scheduled():
                client.set_flow_run_state(run.id, fate, force=True)
            return
        client.set_flow_run_state(run.id, Pending())
        taken = client.read_flow_run(run.id)
        given = self._flow.validate_parameters(taken.parameters)
        run_flow(self._flow, flow_run=taken, parameters=given, return_type="state")


def _is_due(run: FlowRun) -> bool:
    return run.expected_start_time is None or run.expected_start_time <= dt.datetime.now(dt.UTC)


@contextmanager
def taking_up(flow: Flow[..., Any], fate: Fate = lambda _: None) -> Iterator[None]:
    """Have the deployment's runs taken up meanwhile."""
    taker = Taker(flow, fate)
    taker.start()
    try:
        yield
    finally:
        taker.stop()
