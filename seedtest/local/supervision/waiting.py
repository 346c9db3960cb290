"""Waiting until a part of the stack is healthy, or saying why it is not."""

import time
from collections.abc import Callable

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.ports import HOST, holder, is_free, listens
from seedtest.local.postgres.server import EmbeddedPostgres
from seedtest.local.supervision.control import ProcessInfo, Supervisor
from seedtest.local.supervision.logs import tail
from seedtest.local.supervision.programs import POSTGRES, SERVER
from seedtest.prefect_client.api import PrefectApi

_PATIENCE_SECS = 180.0
_PAUSE_SECS = 0.1


class PortTakenError(StackError):
    """Somebody else has taken a server's port between our look and its start."""


def wait_for_postgres(folder: StackFolder, postgres: EmbeddedPostgres) -> None:
    """Return once PostgreSQL takes connections."""
    _wait(folder, POSTGRES, lambda _: postgres.is_ready())


def wait_for_server(folder: StackFolder, api: PrefectApi, port: int) -> None:
    """Return once our own Prefect server answers."""
    _wait(folder, SERVER, lambda server: _listens(server, port) and api.is_healthy())


def wait_for_listener(folder: StackFolder, program: str, port: int) -> None:
    """Return once a program listens on its port, which it does when it can serve."""
    _wait(folder, program, lambda process: _listens(process, port))


def _listens(process: ProcessInfo, port: int) -> bool:
    if not process.runs and not is_free(port):
        raise PortTakenError(f"Port {port} of {HOST} has been taken by {holder(port)} in the meantime.")
    return process.runs and listens(process.pid, port)


def wait_for_worker(folder: StackFolder, api: PrefectApi, program: str, pool: str) -> None:
    """Return once a pool's worker has reported to the server since its start."""

    def reported(process: ProcessInfo) -> bool:
        heartbeats = [worker.last_heartbeat_time for worker in api.workers(pool) if worker.online]
        return any(beat is not None and beat.timestamp() >= process.start for beat in heartbeats)

    _wait(folder, program, reported)


def _wait(folder: StackFolder, program: str, is_ready: Callable[[ProcessInfo], bool]) -> None:
    """Look again and again until the program is ready; StackError when it will not be."""
    supervisor = Supervisor(folder)
    deadline = time.monotonic() + _PATIENCE_SECS
    while not is_ready(process := supervisor.process(program)):
        log = tail(folder.log(program))
        if process.given_up:
            reason = f": {process.spawnerr}" if process.spawnerr else ""
            raise StackError(f"{program} keeps ending right after its start{reason}. No data are lost.{log}")
        if time.monotonic() > deadline:
            raise StackError(f"{program} is not ready after {_PATIENCE_SECS:.0f} s. No data are lost.{log}")
        time.sleep(_PAUSE_SECS)
