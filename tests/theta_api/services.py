"""The θ API as a process of its own, spoken to over real HTTP."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from seedtest.api.auth.signatures import signed_headers
from tests.api.auth.issuing import AUDIENCE, ISSUER, bearer, token
from tests.irt_service.services import free_port, wait_until_up

ROOT = Path(__file__).resolve().parents[2]
SECRET = "the-secret-of-webhooks"
PREFIX = "/api/seedtest"
UPDATE = f"{PREFIX}/analysis/irt/update-theta"
WEBHOOK = f"{PREFIX}/webhooks/session-completed"
HISTORY = f"{PREFIX}/analysis/irt/theta"
WEEKLY = f"{PREFIX}/analysis/metrics/weekly"
# Nothing listens there: without Prefect the API is ready, but degraded.
NO_PREFECT = "http://127.0.0.1:9/api"
# A test that waits for more than this waits for nothing.
PATIENCE_SECS = 20.0


@dataclass(frozen=True, eq=False)
class Service:
    """A running service: how to speak to it, its process, and the file it logs to."""

    client: httpx.Client
    process: "subprocess.Popen[bytes]"
    log: Path

    def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post a body with a good token unless other headers are given."""
        return self.client.post(path, json=body, headers=bearer(token()) if headers is None else headers)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, query: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """Get with a good token unless other headers are given."""
        given = bearer(token()) if headers is None else headers
        return self.client.get(path, params=query, headers=given)

    def report(self, session_id: str, user_id: str, completed_at: str) -> httpx.Response:
        """Send a signed webhook."""
        completed = {"session_id": session_id, "user_id": user_id, "completed_at": completed_at}
        body = json.dumps(completed).encode()
        return self.client.post(WEBHOOK, content=body, headers=signed_headers(SECRET, int(time.time()), body))

    def metric(self, name: str) -> float:
        """The sum of the samples whose lines begin so."""
        lines = self.client.get("/metrics").text.splitlines()
        found = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)]
        assert found, name
        return sum(found)

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def error_of(response: httpx.Response) -> str:
    """The message of an error, once sure that it shows no more than that."""
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    message = response.json()["error"]
    assert isinstance(message, str)
    for trace in ("Traceback", 'File "', "site-packages", ".py:", "psycopg2", "SELECT", "INSERT"):
        assert trace not in response.text
    return message


@contextmanager
def running(
    folder: Path, database_url: str, key_set_url: str, *options: str, **environment: str
) -> Iterator[Service]:
    """Run the service on a free port until the context ends."""
    inherited = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "TMPDIR", "LANG"}}
    given = {
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": database_url,
        "PREFECT_API_URL": NO_PREFECT,
        "JWKS_URL": key_set_url,
        "JWT_ISS": ISSUER,
        "JWT_AUD": AUDIENCE,
        "WEBHOOK_SECRET": SECRET,
    }
    port = free_port()
    command = [sys.executable, "-m", "seedtest", "api", "--port", str(port), *options]
    log = folder / f"api-{port}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=folder, env=inherited | given | environment, stdout=sink, stderr=sink
        )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
    service = Service(client, process, log)
    try:
        wait_until_up(client, process, log)
        yield service
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=30)
