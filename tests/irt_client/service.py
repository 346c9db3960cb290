"""A service on a real socket that does, connection by connection, what a test tells it to."""

import gzip
import json
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET, socket
from typing import Any, BinaryIO

GIVE_UP_SECS = 30


@dataclass(frozen=True)
class Received:
    """A request as it arrived: the body decompressed, None where it was not read to its end."""

    target: str
    headers: dict[str, str]
    body: Any = None


@dataclass(frozen=True)
class Exchange:
    """One connection, and what to do with it."""

    connection: socket
    stream: BinaryIO
    stopping: threading.Event
    received: list[Received]

    def read_headers(self) -> Received:
        target = self.stream.readline().decode().split()[1]
        lines = iter(lambda: self.stream.readline().decode().strip(), "")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Received(target, headers)

    def read_request(self) -> None:
        head = self.read_headers()
        assert head.headers["transfer-encoding"] == "chunked"
        packed = bytearray()
        while size := int(self.stream.readline(), 16):
            packed += self.stream.read(size)
            self.stream.readline()
        self.stream.readline()
        body = gzip.decompress(packed) if head.headers.get("content-encoding") == "gzip" else bytes(packed)
        self.received.append(Received(head.target, head.headers, json.loads(body)))

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def hang(self) -> None:
        """Do nothing until the test is over."""
        self.stopping.wait(GIVE_UP_SECS)

    def reset(self) -> None:
        """Close so that the client's next read or write fails."""
        self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))


Behaviour = Callable[[Exchange], None]


@dataclass
class Service:
    """Plays a behaviour a connection, the last one again and again."""

    behaviours: Sequence[Behaviour] = ()
    address: str = ""
    received: list[Received] = field(default_factory=list)
    n_connections: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def play(self, *behaviours: Behaviour) -> None:
        """Begin anew with other behaviours."""
        self.behaviours, self.n_connections = behaviours, 0

    def serve(self, connection: socket) -> None:
        behaviour = self.behaviours[min(self.n_connections, len(self.behaviours) - 1)]
        self.n_connections += 1
        with connection.makefile("rb") as stream:
            behaviour(Exchange(connection, stream, self.stopping, self.received))


@contextmanager
def listening_service() -> Iterator[Service]:
    service = Service()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            service.serve(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        service.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield service
        service.stopping.set()
        server.shutdown()
        thread.join()


def http(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """Return an answer as it goes over the wire; `length` may lie about the body."""
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(status: int, content: Any, *headers: str) -> Behaviour:
    """Answer a whole request; content that is not bytes goes as JSON, NaN and all."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return sends(http(status, body, "Content-Type: application/json", *headers))


def sends(data: bytes) -> Behaviour:
    """Send these bytes after a whole request, and close."""

    def behave(exchange: Exchange) -> None:
        exchange.read_request()
        exchange.send(data)

    return behave
