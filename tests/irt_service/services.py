"""IRT services as processes of their own, spoken to over real HTTP."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
R_SERVICE = ROOT / "k8s" / "r-irt-plumber" / "serve.R"
START_SECS = 60
FIT_SECS = 240
TOKEN = "a-token-of-the-tests"


@dataclass(frozen=True, eq=False)
class Service:
    """A running service: where it is, how to speak to it, and the file it logs to."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    log: Path

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        return self.client.post(path, json=body, headers=headers)

    def post_bytes(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, content=body, headers={"content-type": "application/json"} | given)

    def answer(self, path: str, body: object) -> Any:
        """The answer to a body that is right."""
        response = self.post(path, body)
        assert response.status_code == 200, response.text[:2000]
        answer = response.json()
        assert answer["status"] == "ok"
        return answer

    def refusal(self, path: str, body: bytes, **headers: str) -> tuple[int, str]:
        """The status and the error of a body that is wrong."""
        response = self.post_bytes(path, body, **headers)
        return response.status_code, error_of(response)


def error_of(response: httpx.Response) -> str:
    """The message of an error, once sure that it shows no more than that."""
    assert response.headers["content-type"].startswith("application/json")
    message = response.json()["error"]
    assert isinstance(message, str)
    assert message
    for trace in ("Traceback", 'File "', "site-packages", ".py:", "traceback()"):
        assert trace not in response.text
    return message


def embedded_command(port: int) -> Sequence[str]:
    return [sys.executable, "-m", "seedtest", "irt-service", "--host", "127.0.0.1", "--port", str(port)]


def r_command(_port: int) -> Sequence[str]:
    return ["Rscript", str(R_SERVICE)]


COMMANDS = {"embedded": embedded_command, "r_twin": r_command}


def missing_for_r() -> str | None:
    """Why R's service cannot run here; None if it can."""
    if not R_SERVICE.is_file():
        return f"there is no {R_SERVICE.relative_to(ROOT)}"
    for package in ("plumber", "mirt"):
        try:
            done = subprocess.run(
                ["Rscript", "-e", f"library({package})"], capture_output=True, timeout=60, check=False
            )
        except FileNotFoundError:
            return "Rscript is not installed (apt-get install r-base-core)"
        if done.returncode:
            return f"R has no package {package}"
    return None


@contextmanager
def running(kind: str, folder: Path, token: str | None, **environment: str) -> Iterator[Service]:
    """Run a service on a free port until the context ends."""
    port = free_port()
    inherited = {
        k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "TMPDIR", "LANG"} or k[:2] == "R_"
    }
    inherited.pop("R_IRT_INTERNAL_TOKEN", None)
    given = {"PORT": str(port), "HOST": "127.0.0.1", "PYTHONPATH": str(ROOT)} | environment
    secret = {"R_IRT_INTERNAL_TOKEN": token} if token else {}
    log = folder / f"{kind}-{port}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            COMMANDS[kind](port), cwd=folder, env=inherited | given | secret, stdout=sink, stderr=sink
        )
    headers = {"authorization": f"Bearer {token}"} if token else {}
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=FIT_SECS, trust_env=False
    )
    service = Service(client, process, log)
    try:
        wait_until_up(client, process, log)
        yield service
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_up(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a service that was started answers."""
    end = time.monotonic() + START_SECS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if client.get("/healthz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"The service is not up after {START_SECS} s: {log.read_text()}")
