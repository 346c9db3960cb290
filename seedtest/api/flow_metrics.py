"""How the flows run, as Prefect's API knows it, for Prometheus; the alerts live by these."""

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import ValidationError

from seedtest.errors import StackError
from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.models import Deployment, FlowRun, StateType

logger = logging.getLogger(__name__)

INTERVAL_SECS: Final = 30.0
# What nobody has seen for so long is not told any more: an alert on its absence says that nobody looks.
STALE_SECS: Final = 150.0
LOOKBACK: Final = dt.timedelta(hours=24)
STOP_SECS: Final = 5.0
LATE: Final = "Late"

FAILURES: Final = (StateType.FAILED, StateType.CRASHED)
ENDS: Final = (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
GOING: Final = (StateType.PENDING, StateType.RUNNING)


@dataclass(frozen=True)
class DeploymentRuns:
    """The runs of one deployment as they stand; times are Unix seconds, None where there is no such run."""

    deployment: str
    n_by_state: dict[str, int]
    oldest_pending_at: float | None
    first_started_at: float | None
    last_duration_secs: float | None
    last_success_at: float | None
    last_failure_at: float | None


def read_runs(api: PrefectApi) -> tuple[DeploymentRuns, ...]:
    """Return how the runs of every deployment of a server stand.

    Raises
    ------
    StackError
        The server does not answer, or refuses.
    """
    going: dict[str | None, list[FlowRun]] = {}
    for run in api.runs(states=GOING):
        going.setdefault(run.deployment_id, []).append(run)
    return tuple(_read(api, one, going.get(one.id, [])) for one in api.deployments())


def _read(api: PrefectApi, deployment: Deployment, going: list[FlowRun]) -> DeploymentRuns:
    since = dt.datetime.now(dt.UTC) - LOOKBACK
    n_by_state = {
        state.value.lower(): api.count_runs(states=[state], deployment=deployment, ended_after=since)
        for state in ENDS
    }
    n_by_state["late"] = api.count_runs(state_names=[LATE], deployment=deployment)
    by_type = {state: [run for run in going if run.state and run.state.type is state] for state in GOING}
    n_by_state |= {state.value.lower(): len(runs) for state, runs in by_type.items()}
    success = api.last_ended(deployment, [StateType.COMPLETED])
    failure = api.last_ended(deployment, FAILURES)
    last = max(filter(None, (success, failure)), key=_ended_at, default=None)
    return DeploymentRuns(
        deployment=deployment.name,
        n_by_state=n_by_state,
        oldest_pending_at=_earliest(_state_at(run) for run in by_type[StateType.PENDING]),
        first_started_at=_earliest(run.start_time for run in by_type[StateType.RUNNING]),
        last_duration_secs=None if last is None else last.total_run_time,
        last_success_at=None if success is None else _ended_at(success),
        last_failure_at=None if failure is None else _ended_at(failure),
    )


def _ended_at(run: FlowRun) -> float:
    return run.end_time.timestamp() if run.end_time else 0.0


def _state_at(run: FlowRun) -> dt.datetime | None:
    return run.state.timestamp if run.state else None


def _earliest(times: Iterator[dt.datetime | None]) -> float | None:
    return min((time.timestamp() for time in times if time is not None), default=None)


class FlowMetrics(Collector):
    """Asks Prefect every half minute in a thread of its own, so that no scrape waits for it.

    Register it with the registry that /metrics shows. Without an answer for a while it shows nothing.
    """

    def __init__(self, connect: Callable[[], PrefectApi], *, interval_secs: float = INTERVAL_SECS) -> None:
        self._connect, self._interval_secs = connect, interval_secs
        self._seen: tuple[DeploymentRuns, ...] = ()
        self._seen_at = -STALE_SECS
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="flow-metrics", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopping.set()
        self._thread.join(STOP_SECS)

    def collect(self) -> Iterator[Metric]:
        """Give what was seen last, its ages as of now."""
        seen = self._seen if time.monotonic() < self._seen_at + STALE_SECS else ()
        if seen:
            yield _counts(seen)
            yield from _gauges(seen, time.time())

    def _work(self) -> None:
        with self._connect() as api:
            while not self._stopping.is_set():
                self._look(api)
                self._stopping.wait(self._interval_secs)

    def _look(self, api: PrefectApi) -> None:
        """Look once; a server that is away is told once, until it is back."""
        try:
            self._seen, self._seen_at = read_runs(api), time.monotonic()
            self._failing = False
        except (StackError, ValidationError) as error:
            if not self._failing:
                logger.warning("How the flows run is not known: %s", error)
            self._failing = True


def _counts(seen: tuple[DeploymentRuns, ...]) -> Metric:
    counts = GaugeMetricFamily(
        "seedtest_flow_runs",
        "Runs by state: late, pending and running now; ended ones of the last 24 hours",
        labels=["deployment", "state"],
    )
    for runs in seen:
        for state, n in runs.n_by_state.items():
            counts.add_metric([runs.deployment, state], n)
    return counts


def _gauges(seen: tuple[DeploymentRuns, ...], now: float) -> Iterator[Metric]:
    def gauge(name: str, what: str, value: Callable[[DeploymentRuns], float | None]) -> Metric:
        family = GaugeMetricFamily(f"seedtest_flow_run_{name}", what, labels=["deployment"])
        for runs in seen:
            shown = value(runs)
            if shown is not None:
                family.add_metric([runs.deployment], shown)
        return family

    def age(since: float | None) -> float:
        return 0.0 if since is None else max(0.0, now - since)

    yield gauge(
        "pending_seconds", "How long the oldest pending run is pending", lambda r: age(r.oldest_pending_at)
    )
    yield gauge(
        "running_seconds",
        "Time since the longest run in progress started first",
        lambda r: age(r.first_started_at),
    )
    yield gauge(
        "last_duration_seconds", "Duration of the run that ended last", lambda r: r.last_duration_secs
    )
    yield gauge("last_success_timestamp_seconds", "When a run completed last", lambda r: r.last_success_at)
    yield gauge(
        "last_failure_timestamp_seconds", "When a run failed or crashed last", lambda r: r.last_failure_at
    )
