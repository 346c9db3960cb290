"""Flow runs as an operator starts and watches them."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State

from tests.conftest import ROOT
from tests.k8s_cluster.cluster import Cluster, eventually

# A pod starts within seconds; a busy machine takes a minute to import what a flow needs.
START_SECS = 240
RUN_SECS = 400
_ID = re.compile(r"UUID: ([0-9a-f-]{36})")


@dataclass(frozen=True)
class Run:
    """One flow run, and where to look for it."""

    id: UUID
    client: SyncPrefectClient
    cluster: Cluster

    @property
    def now(self) -> FlowRun:
        return self.client.read_flow_run(self.id)

    @property
    def state(self) -> str:
        """The name of its state."""
        return _name(self.now.state)

    @property
    def history(self) -> list[str]:
        """The names of its states, in their order."""
        states = self.client.read_flow_run_states(self.id)
        return [_name(state) for state in sorted(states, key=lambda state: state.timestamp)]

    @property
    def log(self) -> str:
        # The server gives two hundred lines at a time, and a run here has fewer.
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self.id]))
        lines = self.client.request(
            "POST", "/logs/filter", json={"logs": wanted.model_dump(mode="json"), "limit": 200}
        )
        return "\n".join(line["message"] for line in lines.json())

    def reaches(self, *names: str, secs: float = RUN_SECS) -> str:
        """Wait for one of the states; a run that ends in another has failed the test."""

        def look() -> str:
            state = self.now.state
            if _name(state) in names:
                return _name(state)
            assert state is None or not state.is_final() or state.is_crashed(), self._told()
            return ""

        try:
            return eventually(look, secs, f"run {self.id} in {names}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._told()}") from None

    def waits_in_its_pod(self, *, after: str = "") -> str:
        """Wait until the flow waits for its stage's lock in a pod, another than that of before; return it."""
        pod = eventually(lambda: self._live_pod_but(after), START_SECS, f"a pod of run {self.id}")
        eventually(lambda: self._told_of_waiting(pod), START_SECS, f"run {self.id} waiting for its lock")
        return pod

    def _live_pod_but(self, name: str) -> str:
        names = [pod["metadata"]["name"] for pod in self.cluster.live_pods_of(str(self.id))]
        return next((found for found in names if found != name), "")

    def _told_of_waiting(self, pod: str) -> bool:
        return "Waiting up to" in self.cluster.attempt("logs", pod).stdout

    def _told(self) -> str:
        pods = [pod["status"].get("containerStatuses") for pod in self.cluster.pods_of(str(self.id))]
        return f"states: {self.history}\nlog:\n{self.log}\npods: {json.dumps(pods)}"


def _name(state: State | None) -> str:
    return (state.name if state else None) or ""


@dataclass(frozen=True)
class Operator:
    """Who starts and cancels runs, by the commands of the runbook."""

    client: SyncPrefectClient
    cluster: Cluster

    def start(self, name: str, variables: dict[str, Any] | None = None, **parameters: Any) -> Run:
        told = prefect(
            "deployment",
            "run",
            f"{name}/{name}",
            *_pairs("--param", parameters),
            *_pairs("--job-variable", variables or {}),
        )
        found = _ID.search(told)
        assert found, told
        return Run(UUID(found[1]), self.client, self.cluster)

    def cancel(self, run: Run) -> None:
        prefect("flow-run", "cancel", str(run.id))


def prefect(*arguments: str) -> str:
    """Run a command of Prefect's as an operator does; what it says."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _pairs(option: str, values: dict[str, Any]) -> list[str]:
    return [part for name, value in values.items() for part in (option, f"{name}={json.dumps(value)}")]
