"""The session hook against real sockets: an API that accepts, refuses, hangs, or is not there."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from seedtest import session_hook
from seedtest.api.auth.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, digests, is_signed
from seedtest.session_hook import MOST_AT_ONCE, WEBHOOK_PATH, on_session_complete
from seedtest.settings import Settings

SECRET = "planted-webhook-secret"


class Api(ThreadingHTTPServer):
    """Answers every report with one status, after a pause, and keeps what it was sent."""

    def __init__(self, status: int, pause_secs: float) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.status, self.pause_secs = status, pause_secs
        self.reports: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reports.append((self.path, dict(self.headers), body))
        time.sleep(self.server.pause_secs)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def api(status: int = 202, pause_secs: float = 0.0) -> Iterator[Api]:
    with Api(status, pause_secs) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def settings(url: str, **others: Any) -> Settings:
    given = {"enable_irt_online_update": True, "webhook_secret": SecretStr(SECRET), **others}
    return Settings(theta_api_url=url, **given)


def test_a_session_is_reported_signed() -> None:
    with api() as server:
        assert on_session_complete("학습자 1", "s-1", settings=settings(server.url))
        ((path, headers, body),) = server.reports
    assert path == WEBHOOK_PATH
    report = json.loads(body)
    assert (report["user_id"], report["session_id"]) == ("학습자 1", "s-1")
    assert report["completed_at"].endswith("+00:00")
    assert is_signed([SECRET], int(headers[TIMESTAMP_HEADER]), body, digests(headers[SIGNATURE_HEADER]))


def test_nothing_is_sent_unless_it_is_switched_on() -> None:
    with api() as server:
        off = settings(server.url, enable_irt_online_update=False)
        assert not on_session_complete("u", "s", settings=off)
        assert server.reports == []


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_a_refusal_is_told_and_not_raised(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with api(status) as server:
        assert not on_session_complete("u-secret", "s-secret", settings=settings(server.url))
    assert f"the API answers {status}" in caplog.text
    assert "secret" not in caplog.text


def test_a_hanging_api_is_given_up_in_time(caplog: pytest.LogCaptureFixture) -> None:
    with api(pause_secs=1.5) as server:
        begun = time.monotonic()
        assert not on_session_complete("u", "s", settings=settings(server.url, theta_hook_timeout_secs=0.3))
        assert time.monotonic() - begun < 1.4
    assert caplog.records


def test_sessions_do_not_pile_up_before_an_api_that_never_answers(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        impatient = settings(f"http://127.0.0.1:{silent.getsockname()[1]}", theta_hook_timeout_secs=2.0)
        threads = [
            threading.Thread(target=on_session_complete, args=("u", str(n)), kwargs={"settings": impatient})
            for n in range(3 * MOST_AT_ONCE)
        ]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - begun < 10
    assert caplog.text.count(f"{MOST_AT_ONCE} reports hang already") >= MOST_AT_ONCE
    deadline = time.monotonic() + 10
    while any(thread.name == "session-hook" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with api() as server:
        assert on_session_complete("u", "s", settings=settings(server.url))


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"theta_api_url": "http://127.0.0.1:9"}, "ConnectError"),
        ({"theta_api_url": "http://127.0.0.1:port"}, "InvalidURL"),
        ({"webhook_secret": None}, "WEBHOOK_SECRET is not set"),
        ({"webhook_secret": SecretStr("a,b,c")}, "WEBHOOK_SECRET holds 3 secrets"),
    ],
)
def test_what_cannot_be_sent_is_told_and_not_raised(
    others: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"theta_api_url": "http://127.0.0.1:9", **others}
    assert not on_session_complete("u", "s", settings=settings(given.pop("theta_api_url"), **given))
    assert reason in caplog.text


def test_settings_that_cannot_be_used_are_told_and_not_raised(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("THETA_HOOK_TIMEOUT_SECS", "soon")
    with caplog.at_level(logging.WARNING, session_hook.__name__):
        assert not on_session_complete("u", "s")
    assert "THETA_HOOK_TIMEOUT_SECS" in caplog.text
