"""Running a deployment and following it to its end: its state, its logs and its subflows'."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from seedtest.errors import StackError
from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.following import LogFollower
from seedtest.prefect_client.models import (
    ACTIVE_STATES,
    UNFINISHED_STATES,
    Deployment,
    FlowRun,
    StateType,
)
from seedtest.prefect_client.parameters import read_parameters
from seedtest.say import Say

_POLL_SECS = 0.5
# A worker polls every second on the embedded stack, every ten by Prefect's default.
_UNPOLLED_PATIENCE_SECS = 15.0
_CANCEL_MESSAGE = "Cancelled from the command line."


@dataclass(frozen=True)
class FinalState:
    """How a run ended."""

    run_id: str
    run_name: str
    type: StateType
    name: str
    message: str | None
    url: str

    @property
    def completed(self) -> bool:
        """Whether the run did what it was asked."""
        return self.type is StateType.COMPLETED

    def __str__(self) -> str:
        message = f": {self.message}" if self.message else ""
        return f"{self.run_name} {self.name}{message} · {self.url}"


def run_deployment(
    api_url: str,
    name: str,
    parameters: Mapping[str, str],
    *,
    say: Say,
    unpolled_patience_secs: float = _UNPOLLED_PATIENCE_SECS,
) -> FinalState:
    """Run a deployment by its name or flow/name, say its log lines as they come, and return its end.

    A Ctrl-C cancels the run and waits for it; a second one leaves it alone.
    """
    with PrefectApi(api_url, say=say) as api:
        deployment = find_deployment(api, name)
        values = read_parameters(deployment, parameters)
        run = api.create_flow_run(deployment, values, key=str(uuid.uuid4()))
        say(f"{deployment.name}: run {run.name} · {api.run_url(run.id)}")
        return _Watch(api, deployment, run, say, unpolled_patience_secs).follow()


def find_deployment(api: PrefectApi, name: str) -> Deployment:
    """Return the deployment called so; StackError naming those there are."""
    flow, slash, last = name.rpartition("/")
    found = api.deployments([last])
    if slash:
        flows = api.flow_names([deployment.flow_id for deployment in found])
        found = [deployment for deployment in found if flows.get(deployment.flow_id) == flow]
    if len(found) == 1:
        return found[0]
    if found:
        raise StackError(f"{len(found)} deployments are called {name}: name one as FLOW/{last}.")
    known = ", ".join(sorted(deployment.name for deployment in api.deployments())) or "none at all"
    raise StackError(f"There is no deployment {name} at {api.url}. There are: {known}.")


class _Watch:
    """One run being followed."""

    def __init__(
        self, api: PrefectApi, deployment: Deployment, run: FlowRun, say: Say, unpolled_patience_secs: float
    ) -> None:
        self._api = api
        self._pool = deployment.work_pool_name
        self._run = run
        self._say = say
        self._logs = LogFollower(api, run.id, say)
        self._state_name = ""
        self._warn_at = time.monotonic() + unpolled_patience_secs

    def follow(self) -> FinalState:
        """Follow until the run has ended."""
        try:
            self._until_final()
        except KeyboardInterrupt:
            self._cancel()
            self._until_final()
            self._close_children()
        final = self._final_state()
        self._logs.finish(final.type)
        return final

    def _until_final(self) -> None:
        while not self._run.is_final:
            time.sleep(_POLL_SECS)
            self._run = self._api.flow_run(self._run.id)
            self._logs.poll()
            self._tell_state()

    def _tell_state(self) -> None:
        """Say a new state once; warn once when nobody takes the run up."""
        state = self._run.state
        if state is None:
            return
        if state.name != self._state_name:
            self._state_name = state.name
            self._say(f"State: {state.name}")
        if state.type is StateType.SCHEDULED and time.monotonic() > self._warn_at:
            self._warn_at = float("inf")
            self._say(self._why_not_started(state.name))

    def _why_not_started(self, state: str) -> str:
        """Return what keeps the run from starting, and what to do."""
        pool = self._api.work_pool(self._pool) if self._pool else None
        if pool is None:
            return "The run waits: its deployment has no work pool. Register it again with `seedtest up`."
        if pool.is_paused:
            return f"The run waits: the work pool {pool.name} is paused. Resume it in Prefect's UI."
        if not any(worker.online for worker in self._api.workers(pool.name)):
            return (
                f"The run waits: no worker is polling the work pool {pool.name}. "
                "`seedtest up` starts one for seedtest-local; `seedtest status` shows it."
            )
        return f"The run waits in the state {state}: other runs may hold the deployment's places."

    def _cancel(self) -> None:
        """Ask for the run and its children to be cancelled; Prefect does not pass it on by itself."""
        self._say("Cancelling the run; press Ctrl-C again to leave it alone")
        for run in [*self._children(), self._run]:
            running = run.state is not None and run.state.type in ACTIVE_STATES
            wanted = StateType.CANCELLING if running else StateType.CANCELLED
            self._api.set_state(run.id, wanted, _CANCEL_MESSAGE)

    def _close_children(self) -> None:
        """Close subflows that ended with their parent's process, before they could say so."""
        for child in self._children():
            if child.deployment_id is None:
                self._api.set_state(child.id, StateType.CANCELLED, _CANCEL_MESSAGE, force=True)

    def _children(self) -> list[FlowRun]:
        """Return every unfinished descendant."""
        generation = self._api.runs(parents=[self._run.id], states=UNFINISHED_STATES)
        found: list[FlowRun] = []
        while generation:
            found += generation
            generation = self._api.runs(parents=[run.id for run in generation], states=UNFINISHED_STATES)
        return found

    def _final_state(self) -> FinalState:
        state = self._run.state
        if state is None:
            raise StackError(f"Prefect gives no state for the run {self._run.name} ({self._run.id}).")
        url = self._api.run_url(self._run.id)
        return FinalState(self._run.id, self._run.name, state.type, state.name, state.message, url)
