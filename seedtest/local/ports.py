"""The ports that the embedded stack's servers listen on."""

import contextlib
import errno
import platform
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import psutil

from seedtest.errors import StackError

HOST = "127.0.0.1"
_N_PORTS = 100


@dataclass(frozen=True)
class Listener:
    """A server of the stack that listens on a port."""

    name: str
    # Where the search for a free port begins.
    first_port: int
    # Setting that names a port; None: it is always searched for.
    variable: str | None = None

    @property
    def last_port(self) -> int:
        """Where the search ends."""
        return self.first_port + _N_PORTS - 1


PREFECT = Listener("Prefect server", 4200, "SEEDTEST_PREFECT_PORT")
THETA_API = Listener("θ API", 8080)
OBJECT_STORE = Listener("object store", 9000)
REPORTS = Listener("web server of the reports", 9080)


@contextmanager
def chosen_port(listener: Listener, fixed: int | None, remembered: int | None) -> Iterator[int]:
    """Give the port asked for, else the one used last, else the listener's first that is free.

    While the context lasts, other starts on this machine choose another one.
    """
    if fixed is not None:
        require_free(listener, fixed)
        yield fixed
        return
    for port in [*filter(None, [remembered]), *range(listener.first_port, listener.last_port + 1)]:
        if is_free(port):
            with _reservation(port) as mine:
                if mine:
                    yield port
                    return
    remedy = (
        f"Name a free one in {listener.variable}."
        if listener.variable
        else "Stop what listens on one of them."
    )
    raise StackError(
        f"No port from {listener.first_port} to {listener.last_port} is free for the {listener.name}. "
        f"{remedy}"
    )


def require_free(listener: Listener, port: int) -> None:
    """Raise StackError when somebody listens on the port asked for."""
    if not is_free(port):
        raise StackError(
            f"Port {port} of {HOST}, asked for by {listener.variable}, is in use by {holder(port)}. Stop "
            f"that process, or name another port, or unset {listener.variable} to take the next free one."
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


def holder(port: int) -> str:
    """Name the process that listens on a port, as far as this user may know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                process = psutil.Process(connection.pid)
                return f"{process.name()} (pid {process.pid}: {' '.join(process.cmdline())[:120]})"
    return "another process"


def _reservation(port: int) -> AbstractContextManager[bool]:
    """Hold a name that stands for the port and that the kernel frees when we die.

    A starting server listens only after seconds. Where there are no abstract sockets, the stack that
    finds its port taken in the end chooses again.
    """
    if platform.system() == "Linux":
        return _abstract_socket(f"\0seedtest-port-{port}")
    return nullcontext(enter_result=True)


@contextmanager
def _abstract_socket(name: str) -> Iterator[bool]:
    """Hold an abstract Unix socket; give whether it was still to be had."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        try:
            held.bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            yield False
            return
        yield True
