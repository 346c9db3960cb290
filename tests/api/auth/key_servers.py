"""A key server over real HTTP: its keys change, it hangs, lies, redirects and counts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server answers at present, and how often it was asked."""

    document: bytes
    url: str = ""
    status: int = 200
    location: str | None = None
    fetches: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.go_on.set()

    def hang(self) -> None:
        self.go_on.clear()

    def recover(self) -> None:
        self.status = 200
        self.go_on.set()


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.fetches += 1
            served.go_on.wait(30)
            try:
                self.send_response(served.status)
                if served.location:
                    self.send_header("Location", served.location)
                self.send_header("Content-Length", str(len(served.document)))
                self.end_headers()
                self.wfile.write(served.document)
            except ConnectionError:
                # Who asked has given up.
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def key_server(document: bytes) -> Iterator[Served]:
    """Serve a key set until the context ends."""
    served = Served(document)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(served)) as server:
        served.url = f"http://127.0.0.1:{server.server_address[1]}/.well-known/jwks.json"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield served
        finally:
            served.recover()
            server.shutdown()
            thread.join()
