"""XML-RPC over a Unix socket, which the standard library leaves to its users."""

import http.client
import socket
import xmlrpc.client
from pathlib import Path


class UnixTransport(xmlrpc.client.Transport):
    """Carries XML-RPC calls to a Unix socket."""

    def __init__(self, path: Path, *, timeout_secs: float) -> None:
        super().__init__()
        self._path = path
        self._timeout_secs = timeout_secs

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> http.client.HTTPConnection:
        """Return a connection to the socket, whatever the host; the base class closes it."""
        connection = _UnixConnection(self._path, self._timeout_secs)
        self._connection = (host, connection)
        return connection


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_secs: float) -> None:
        super().__init__("localhost", timeout=timeout_secs)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
