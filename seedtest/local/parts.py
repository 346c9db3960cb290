"""The programs of the stack: what each is started with, in which order, and how it is stopped."""

import math
import platform
import sys
from pathlib import Path

from seedtest.local.folder import StackFolder
from seedtest.local.object_store import ObjectStore
from seedtest.local.pools import POOL_TYPE
from seedtest.local.ports import HOST
from seedtest.local.postgres.server import PreparedPostgres
from seedtest.local.supervision.programs import (
    API,
    OBJECT_STORE,
    POSTGRES,
    REPORTS,
    SERVER,
    Program,
)


def postgres(prepared: PreparedPostgres) -> Program:
    """Return PostgreSQL."""
    return Program(
        name=POSTGRES,
        command=tuple(prepared.command()),
        priority=10,
        autostart=True,
        # Fast shutdown: sessions are disconnected, a checkpoint is written.
        stop_signal="INT",
        stop_patience_secs=60,
        start_secs=1,
        user=None if prepared.account.is_self else prepared.account.name,
    )


def prefect_server(folder: StackFolder, port: int) -> Program:
    """Return Prefect's server, whose scheduler is mended (docs/decisions/0007)."""
    return Program(
        name=SERVER,
        command=_python("deploy.prefect_server", "server", "start", "--host", HOST, "--port", str(port)),
        priority=20,
        autostart=True,
        stop_signal="TERM",
        stop_patience_secs=15,
        # It takes seconds until it finds that its port or its database cannot be used.
        start_secs=10,
        directory=folder.prefect,
    )


def object_store(store: ObjectStore) -> tuple[Program, Program]:
    """Return what stores the reports, and what shows them in a browser."""
    return _rclone(OBJECT_STORE, store.store_command()), _rclone(REPORTS, store.links_command())


def _rclone(name: str, command: tuple[str, ...]) -> Program:
    return Program(
        name=name,
        command=command,
        priority=20,
        autostart=True,
        stop_signal="TERM",
        stop_patience_secs=10,
        start_secs=1,
    )


def theta_api(port: int, timeout_secs: float) -> Program:
    """Return the θ API; requests have `timeout_secs`, also those under way when it is stopped."""
    return Program(
        name=API,
        command=_python("seedtest", "api", "--host", HOST, "--port", str(port)),
        priority=25,
        # Started by `up` once the tables are there.
        autostart=False,
        stop_signal="TERM",
        stop_patience_secs=math.ceil(timeout_secs) + 5,
        # It loads for seconds until it finds that its settings cannot be used.
        start_secs=5,
        directory=Path(__file__).resolve().parents[2],
    )


def worker(name: str, pool: str, project: Path) -> Program:
    """Return the worker of a pool."""
    called = f"{pool} on {platform.node()}"
    options = ("--pool", pool, "--type", POOL_TYPE, "--name", called, "--install-policy", "never")
    return Program(
        name=name,
        command=_python("prefect", "worker", "start", *options),
        priority=30,
        # Started by `up` once the server answers.
        autostart=False,
        stop_signal="TERM",
        stop_patience_secs=30,
        start_secs=5,
        directory=project,
    )


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)
