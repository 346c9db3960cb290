"""Asking Prefect for the run that works off the queue: one run a generation, whoever asks, however often.

The API process keeps a `ThetaTrigger` beside its requests, since a webhook must not wait for Prefect: many
wake-ups become one question, and a server that is away is asked again until it answers. A trigger that dies
with its process loses nothing but time: `theta-sweep` looks every five minutes.
"""

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self

from pydantic import ValidationError
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from seedtest.db.theta_requests import Generation, any_due, close_generation, open_generation
from seedtest.errors import SeedtestError, StackError
from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.models import Deployment, FlowRun, StateType

logger = logging.getLogger(__name__)

DEPLOYMENT = "update-theta"
# Wake-ups that come while one is answered wait so long, so that a storm makes 20 questions a second.
PAUSE_SECS = 0.05
FIRST_RETRY_SECS = 0.5
MOST_RETRY_SECS = 10.0
# So often it looks without being woken: a run may have been lost, and failed requests come due again.
LOOK_SECS = 15.0
# A run that a worker took up so long ago, and that has not begun, died with its worker. Were it to begin
# all the same, it would find nothing to do.
LOST_SECS = 30.0
STOP_SECS = 5.0


class Outcome(StrEnum):
    """What a question came to."""

    ASKED = "asked"
    KNOWN = "known"
    IDLE = "idle"
    FAILED = "failed"


Told = Callable[[Outcome], None]


def untold(_: Outcome) -> None:
    """Tell nobody."""


class Asking:
    """Asks for the run of the open generation."""

    def __init__(self, engine: Engine, api: PrefectApi, *, lost_secs: float = LOST_SECS) -> None:
        self._engine = engine
        self._api = api
        self._lost_secs = lost_secs
        self._deployment: Deployment | None = None
        self._asked: Generation | None = None
        self._asked_at = 0.0

    def ask(self) -> Outcome:
        """Make sure that a run will look at everything committed by now.

        Raises
        ------
        StackError
            Prefect's server is away, or has no such deployment.
        """
        with self._engine.connect() as connection:
            if not any_due(connection):
                return Outcome.IDLE
            generation = open_generation(connection)
        if generation == self._asked and time.monotonic() < self._asked_at + LOOK_SECS:
            return Outcome.KNOWN
        while not self._has_run(generation):
            generation = self._next_after(generation)
        self._asked, self._asked_at = generation, time.monotonic()
        return Outcome.ASKED

    def _has_run(self, generation: Generation) -> bool:
        """Ask for a generation's run; False when it ended or was lost without closing the generation."""
        try:
            self._deployment = self._deployment or find_deployment(self._api)
            run = self._api.create_flow_run(self._deployment, {}, key=generation.key)
        except StackError:
            # The deployment may have been made anew, with another id.
            self._deployment = None
            raise
        if not run.is_final and not self._is_lost(run):
            return True
        with self._engine.connect() as connection:
            return open_generation(connection) != generation

    def _is_lost(self, run: FlowRun) -> bool:
        """Whether a worker took the run up and has not begun it for long."""
        if run.state is None or run.state.type is not StateType.PENDING or run.expected_start_time is None:
            return False
        age = dt.datetime.now(dt.UTC) - run.expected_start_time
        return age.total_seconds() > self._lost_secs

    def _next_after(self, dead: Generation) -> Generation:
        """Close a generation whose run is dead; return the one that is open then."""
        logger.warning("The run of θ generation %d was lost before it began: asking for another", dead.number)
        with self._engine.begin() as connection:
            close_generation(connection, only=dead)
            return open_generation(connection)


def find_deployment(api: PrefectApi) -> Deployment:
    """Return the deployment that works off the queue."""
    found = api.deployments([DEPLOYMENT])
    flows = api.flow_names([deployment.flow_id for deployment in found])
    for deployment in found:
        if flows.get(deployment.flow_id) == deployment.name:
            return deployment
    raise StackError(
        f"Prefect's server at {api.url} has no deployment {DEPLOYMENT}, so no session's θ is worked on. "
        "Deploy it: `make deploy ENV=…`, or `seedtest up` on the embedded stack."
    )


def wake_once(engine: Engine, prefect_api_url: str) -> Outcome:
    """Ask for the run here and now, as a command does; StackError when Prefect does not answer."""
    with PrefectApi(prefect_api_url, patience_secs=MOST_RETRY_SECS) as api:
        return Asking(engine, api).ask()


class ThetaTrigger:
    """A thread that asks for the run when it is woken, and looks by itself; waking it never fails or waits.

    Its engine needs one connection at a time. `told` hears what each question came to, for a metric.
    """

    def __init__(self, engine: Engine, prefect_api_url: str, *, told: Told = untold) -> None:
        self._engine = engine
        self._prefect_api_url = prefect_api_url
        self._told = told
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="theta-trigger", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start; the first question is about what an earlier process may have left."""
        self.wake()
        self._thread.start()

    def stop(self) -> None:
        """Stop, within seconds even when Prefect's server hangs; what was not asked for, the sweep finds."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(STOP_SECS)

    def wake(self) -> None:
        """Say that a request was committed."""
        self._woken.set()

    def _work(self) -> None:
        with PrefectApi(self._prefect_api_url, patience_secs=0) as api:
            asking = Asking(self._engine, api)
            while not self._stopping.is_set():
                self._woken.wait(LOOK_SECS)
                self._woken.clear()
                self._ask_patiently(asking)
                self._stopping.wait(PAUSE_SECS)

    def _ask_patiently(self, asking: Asking) -> None:
        """Ask until there is an answer, ever more seldom."""
        wait_secs = FIRST_RETRY_SECS
        while not self._stopping.is_set():
            try:
                self._told(asking.ask())
            except (SeedtestError, SQLAlchemyError, ValidationError) as error:
                self._told(Outcome.FAILED)
                logger.warning(
                    "No θ run could be asked for, trying again in %g s: %s", wait_secs, _short(error)
                )
                self._stopping.wait(wait_secs)
                wait_secs = min(2 * wait_secs, MOST_RETRY_SECS)
            else:
                return


def _short(error: Exception) -> str:
    """Return an error as one line, without SQL."""
    text = str(error.orig if isinstance(error, DBAPIError) else error)
    return text.strip().partition("\n")[0]
