"""Flow runs in processes of their own, to be killed: forked from one that has imported everything."""

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from prefect import Flow
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from flows.aggregate_features_daily import aggregate_features_daily
from flows.compute_daily_kpis import compute_daily_kpis
from flows.mirt_calibrate import mirt_calibrate
from flows.nightly import nightly
from tests.flows.conftest import LAST_DAY

FLOWS: dict[str, Flow[..., Any]] = {
    flow.name: flow for flow in (aggregate_features_daily, compute_daily_kpis, mirt_calibrate, nightly)
}
PATIENCE_SECS = 120
LOOK_SECS = 0.005

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


def wait_until(holds: Callable[[], bool], what: str, secs: float = PATIENCE_SECS) -> None:
    """Wait for what must come; how long is no part of what is tried."""
    deadline = time.monotonic() + secs
    while not holds():
        assert time.monotonic() < deadline, f"it never came that {what}"
        time.sleep(LOOK_SECS)


class Run:
    """A run of a flow for the cohort's last day, with this process's environment as it is now."""

    def __init__(self, flow: str, log: Path, **options: Any) -> None:
        self._log = log
        settings = (PREFECT_API_URL.value(), str(PREFECT_LOCAL_STORAGE_PATH.value()))
        self._process = _FORKS.Process(target=_run, args=(flow, dict(os.environ), settings, log, options))

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_alive:
            self.kill()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @property
    def output(self) -> str:
        """What it has printed: its log, and a trace if it died of an error."""
        return self._log.read_text() if self._log.exists() else ""

    def kill(self) -> None:
        """Kill it with a signal that it cannot catch; a run that was quicker has completed."""
        self._process.kill()
        self._process.join()
        assert self._process.exitcode in {0, -signal.SIGKILL}, self.output

    def completed(self) -> bool:
        """Wait for its end."""
        self._process.join(PATIENCE_SECS)
        assert not self.is_alive, self.output
        return self._process.exitcode == 0

    @property
    def peak_mb(self) -> float:
        """The most memory that the ended run has held."""
        (line,) = [line for line in self.output.splitlines() if line.startswith("peak MB: ")]
        return float(line.removeprefix("peak MB: "))


def _run(
    flow: str, environment: dict[str, str], settings: tuple[str, str], log: Path, options: dict[str, Any]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab", buffering=0) as file:
        for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(file.fileno(), descriptor)
    server, results = settings
    changed = {
        PREFECT_API_URL: server,
        PREFECT_LOCAL_STORAGE_PATH: results,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    with temporary_settings(changed):
        FLOWS[flow].with_options(**options)(date=LAST_DAY)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    os.write(sys.stdout.fileno(), f"peak MB: {kilobytes / 1024:.0f}\n".encode())
