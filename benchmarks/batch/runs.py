"""Runs of the flows in processes of their own, with the time and the memory of each whole process tree."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

# A limit of its pod's memory (domain §9), by stage.
POD_MB = {"aggregate-features-daily": 1024, "compute-daily-kpis": 512}
PROGRAM = """
import datetime as dt, json, sys
stage, given = sys.argv[1], json.loads(sys.argv[2])
given["date"] = dt.date.fromisoformat(given["date"])
if stage == "compute-daily-kpis":
    from flows.compute_daily_kpis import compute_daily_kpis as flow
    from flows.compute_daily_kpis_shard import compute_daily_kpis_shard as shard
else:
    from flows.aggregate_features_daily import aggregate_features_daily as flow
    from flows.aggregate_features_daily_shard import aggregate_features_daily_shard as shard
summary = (shard if "shard" in given else flow)(**given)
print(json.dumps(summary.counts))
"""


@dataclass(frozen=True)
class Run:
    """Seconds from start to end of a process, the most memory of it and its children, and what it printed."""

    secs: float
    peak_mb: float
    said: str

    @classmethod
    def of(cls, command: Sequence[str], environment: dict[str, str]) -> "Run":
        """Run a command to its end, and watch it.

        Raises
        ------
        RuntimeError
            When it fails.
        """
        begun, peak = time.monotonic(), 0.0
        with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                command, stdout=said, stderr=log, env=os.environ | environment, text=True
            )
            while process.poll() is None:
                peak = max(peak, _tree_mb(process.pid))
                time.sleep(0.02)
            secs = time.monotonic() - begun
            said.seek(0)
            log.seek(0)
            if process.returncode:
                raise RuntimeError(
                    f"{' '.join(command[-2:])} ended with {process.returncode}: {log.read()[-3000:]}"
                )
            return cls(secs, peak, said.read())


def _tree_mb(pid: int) -> float:
    try:
        root = psutil.Process(pid)
        return sum(each.memory_info().rss for each in [root, *root.children(recursive=True)]) / 2**20
    except psutil.Error:
        return 0.0


def flow_run(stage: str, arguments: str, environment: dict[str, str]) -> Run:
    """Run a stage's flow as its pod does: one process, its server elsewhere, its pod's memory."""
    limit = {"MEMORY_LIMIT_MB": str(POD_MB[stage])}
    return Run.of([sys.executable, "-c", PROGRAM, stage, arguments], environment | limit)


def at_once(runs: Sequence[tuple[str, str]], environment: dict[str, str]) -> list[Run]:
    """Run several flows beside each other; return them once all have ended."""
    ended: list[Run] = []

    def run(stage: str, arguments: str) -> None:
        ended.append(flow_run(stage, arguments, environment))

    threads = [threading.Thread(target=run, args=one) for one in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(ended) < len(runs):
        raise RuntimeError(f"{len(runs) - len(ended)} of {len(runs)} runs failed; see above")
    return ended


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """Give the address of a Prefect server of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"PREFECT_HOME": str(folder), "PREFECT_LOGGING_LEVEL": "WARNING"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            _await(url)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=30)


def _await(url: str) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"The Prefect server at {url} did not start")
