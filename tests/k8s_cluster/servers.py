"""What pods talk to on the host: PostgreSQL and Prefect's server with passwords, and who is alerted."""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx

from tests.debian_postgres import DebianPostgres
from tests.k8s_cluster.cluster import eventually
from tests.local.conftest import free_port

START_SECS = 180


def address_facing(host: str) -> str:
    """Return the address of this machine that it would talk to a host from; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        address: str = probe.getsockname()[0]
        return address


class ReachablePostgres(DebianPostgres):
    """Debian's PostgreSQL on an address that pods reach; connections over it need the password."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host
        self.password = secrets.token_urlsafe(16)

    def __enter__(self) -> Self:
        data, password = self.folder / "data", self.folder / "password"
        password.write_text(self.password, encoding="utf-8")
        auth = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}")
        self._run("initdb", "-D", str(data), "-U", "postgres", *auth, "--encoding=UTF8", "--locale=C")
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write("host all all all scram-sha-256\n")
        options = f"-p {self.port} -k {self.folder} -c listen_addresses={self.host} -c fsync=off"
        self._run("pg_ctl", "-D", str(data), "-w", "-o", options, "-l", str(self.folder / "log"), "start")
        return self

    def url(self, database: str) -> str:
        return f"postgresql://postgres:{self.password}@{self.host}:{self.port}/{database}"


@dataclass(frozen=True)
class PrefectServer:
    """A server that runs, and what it asks for."""

    api_url: str
    auth: str
    log: Path


@contextmanager
def prefect_server(host: str, database_url: str, folder: Path) -> Iterator[PrefectServer]:
    """Run a Prefect server on a database of its own, on an address that pods reach."""
    port, log = free_port(), folder / "server.log"
    made = PrefectServer(f"http://{host}:{port}/api", f"tests:{secrets.token_urlsafe(16)}", log)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url.replace("postgresql://", "postgresql+asyncpg://"),
        "PREFECT_SERVER_API_AUTH_STRING": made.auth,
        # Its own services ask it too.
        "PREFECT_API_AUTH_STRING": made.auth,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    with log.open("wb") as lines:
        process = subprocess.Popen(command, env=environment, stdout=lines, stderr=lines)
    try:
        eventually(lambda: _answers(made), START_SECS, f"Prefect's server ({log})")
        yield made
    finally:
        process.terminate()
        process.wait(timeout=60)


def _answers(server: PrefectServer) -> bool:
    try:
        return httpx.get(f"{server.api_url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False


@dataclass
class AlertReceiver:
    """What was told to those who are on call."""

    url: str
    alerts: list[dict[str, Any]] = field(default_factory=list)

    def about(self, run_name: str) -> list[str]:
        """The subjects of the alerts that name a run."""
        return [alert["subject"] for alert in self.alerts if run_name in alert["body"]]


@contextmanager
def alert_receiver() -> Iterator[AlertReceiver]:
    """Listen for alerts as a chat's webhook does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.alerts.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing between the tests' dots."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = AlertReceiver(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
