"""The runs of a backfill's windows: each started once, adopted when its starter was killed, and awaited."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from flows.stage import run_logger
from seedtest.backfill import BackfillPlan
from seedtest.db.backfill import Entry, Ledger, WindowStatus
from seedtest.errors import ConfigurationError

POLL_SECS = 1.0
# A restart of Prefect's server, or of its database, is waited for.
SERVER_PATIENCE_SECS = 600.0
# An automation runs a crashed run once more; where there is none, it stays crashed.
CRASH_PATIENCE_SECS = 60.0
# How long others go first. One that lasts longer may be dead; a stage's own lock keeps the two apart.
GIVE_WAY_SECS = 1800.0
# It runs the stages within itself, so their deployments' limits do not see it.
WHOLE_NIGHT = "nightly"
UNFINISHED = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class WindowRuns:
    """The runs of one backfill; `end_at` is when its own time is up, by the monotonic clock."""

    client: SyncPrefectClient
    ledger: Ledger
    plan: BackfillPlan
    end_at: float

    def ended(self, entry: Entry) -> FlowRun | None:
        """Return the run of a window once it has ended; None when time is up, and the run goes on."""
        run = self._adopted(entry)
        if run is None:
            self._give_way()
            if self._is_time_up():
                return None
            run = self._started(entry)
        self.ledger.note(entry.window, WindowStatus.RUNNING, flow_run_id=str(run.id))
        try:
            return self._awaited(run.id)
        except BaseException:
            # Prefect passes neither a cancellation nor a failure on to runs of deployments.
            self._cancel(run.id)
            raise

    def _adopted(self, entry: Entry) -> FlowRun | None:
        """Return the run that an earlier backfill run was killed over, unless it came to nothing."""
        if entry.status is not WindowStatus.RUNNING or entry.flow_run_id is None:
            return None
        try:
            run = self._read(UUID(entry.flow_run_id))
        except ObjectNotFound:
            return None
        if run.state is None or run.state.type is StateType.CANCELLING or _came_to_nothing(run):
            return None
        run_logger().info("%s: the run %s that was started for it is taken over", entry.window, run.name)
        return run

    def _started(self, entry: Entry) -> FlowRun:
        if entry.status is not WindowStatus.PENDING:
            entry = self.ledger.note(entry.window, WindowStatus.PENDING, flow_run_id=entry.flow_run_id)
        today = dt.datetime.now(dt.UTC).date()
        try:
            run = run_deployment(
                f"{self.plan.flow}/{self.plan.flow}",
                parameters=self.plan.parameters(entry.window, today),
                timeout=0,
                idempotency_key=self.ledger.turn(entry),
            )
        except ObjectNotFound as error:
            raise ConfigurationError(
                f"The Prefect server has no deployment {self.plan.flow}, whose runs a backfill is made of. "
                "Register it with `seedtest up` or `make deploy ENV=…`."
            ) from error
        if not isinstance(run, FlowRun):
            raise TypeError("a run is started synchronously here")
        return run

    def _give_way(self) -> None:
        """Let runs of the stage go first that wait or work already: the night's would never get a turn."""
        until = min(time.monotonic() + GIVE_WAY_SECS, self.end_at)
        told = False
        while (others := self._others()) and time.monotonic() < until:
            if not told:
                names = ", ".join(run.name for run in others)
                run_logger().info("Other runs of %s go first: %s", self.plan.flow, names)
                told = True
            time.sleep(POLL_SECS)

    def _others(self) -> list[FlowRun]:
        return patiently(
            self.client.read_flow_runs,
            flow_filter=FlowFilter(name=FlowFilterName(any_=[self.plan.flow, WHOLE_NIGHT])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED)),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=dt.datetime.now(dt.UTC)),
            ),
        )

    def _awaited(self, run_id: UUID) -> FlowRun | None:
        while not self._is_time_up():
            run = self._read(run_id)
            if is_done(run) or _came_to_nothing(run):
                return run
            time.sleep(POLL_SECS)
        return None

    def _is_time_up(self) -> bool:
        return time.monotonic() >= self.end_at

    def _read(self, run_id: UUID) -> FlowRun:
        return patiently(self.client.read_flow_run, run_id)

    def _cancel(self, run_id: UUID) -> None:
        why = "The backfill that started it has ended."
        try:
            state = self.client.read_flow_run(run_id).state
            if state is None or not state.is_final():
                self.client.set_flow_run_state(run_id, Cancelling(message=why))
        except httpx.HTTPError as error:
            run_logger().warning("The run %s could not be cancelled: %s", run_id, error)


def is_done(run: FlowRun) -> bool:
    """Return whether a run did what it was asked."""
    return run.state is not None and run.state.is_completed()


def _came_to_nothing(run: FlowRun) -> bool:
    """Return whether a run has ended otherwise, and nothing will run it again."""
    if run.state is None or not run.state.is_final() or run.state.is_completed():
        return False
    age_secs = (dt.datetime.now(dt.UTC) - run.state.timestamp).total_seconds()
    return not (run.state.is_crashed() and run.run_count <= 1 and age_secs < CRASH_PATIENCE_SECS)


def patiently(ask: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return Prefect's answer, through a restart of its server."""
    retrying = Retrying(
        retry=retry_if_exception_type(httpx.TransportError),
        stop=stop_after_delay(SERVER_PATIENCE_SECS),
        wait=wait_exponential(multiplier=0.5, max=10),
        reraise=True,
    )
    return retrying(ask, *args, **kwargs)
