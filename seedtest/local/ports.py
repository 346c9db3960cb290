"""The port of the embedded Prefect server."""

import contextlib
import socket

import psutil

from seedtest.errors import StackError

HOST = "127.0.0.1"
DEFAULT_PORT = 4200
_N_PORTS = 100


def choose_port(fixed: int | None, remembered: int | None) -> int:
    """Return the port asked for, else the one used last, else 4200 or the next free one."""
    if fixed is not None:
        if not is_free(fixed):
            raise busy_port(fixed)
        return fixed
    if remembered is not None and is_free(remembered):
        return remembered
    last = DEFAULT_PORT + _N_PORTS - 1
    for port in range(DEFAULT_PORT, last + 1):
        if is_free(port):
            return port
    raise StackError(
        f"No port from {DEFAULT_PORT} to {last} is free for the Prefect server. "
        "Name a free one in SEEDTEST_PREFECT_PORT."
    )


def busy_port(port: int) -> StackError:
    """Return the error for a port that somebody else listens on."""
    return StackError(
        f"Port {port} of {HOST}, asked for by SEEDTEST_PREFECT_PORT, is in use by {_holder(port)}. "
        "Stop that process, or name another port, or unset SEEDTEST_PREFECT_PORT to take the next free one."
    )


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do, so that the leftovers of closed connections do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError:
            return False
        return True


def listens(pid: int, port: int) -> bool:
    """Whether this very process listens on the port: an answer from it could be another server's."""
    with contextlib.suppress(psutil.Error):
        connections = psutil.Process(pid).net_connections(kind="tcp")
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)
    return False


def _holder(port: int) -> str:
    """Name the process that listens on a port, as far as this user may know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                process = psutil.Process(connection.pid)
                return f"{process.name()} (pid {process.pid}: {' '.join(process.cmdline())[:120]})"
    return "another process"
