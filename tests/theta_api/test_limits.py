"""The service under pressure: bodies too large or too slow, callers too many, work too long."""

import gzip
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.api.auth.issuing import bearer, token
from tests.api.auth.key_servers import Served
from tests.theta_api.services import HISTORY, UPDATE, WEBHOOK, Service, error_of, running

KB = 1000
TIMEOUT_SECS = 2


@pytest.fixture(scope="module")
def small(learners: Engine, learners_url: str, keys: Served, folder: Path) -> Iterator[Service]:
    """A service that takes 8 kB, works two seconds on a request, and serves few of them."""
    with running(
        folder,
        learners_url,
        keys.url,
        API_MAX_BODY_KB="8",
        API_TIMEOUT_SECS=str(TIMEOUT_SECS),
        API_RATE_LIMIT="20/minute",
        API_WEBHOOK_RATE_LIMIT="5/minute",
        API_DB_CONNECTIONS="4",
    ) as found:
        yield found


def as_caller(name: str) -> dict[str, str]:
    """Each test is a caller of its own, since callers are counted."""
    return bearer(token(sub=name))


def begun(service: Service, path: str, body: bytes, authorization: str) -> socket.socket:
    """A request of a thousand bytes that are not all sent."""
    url = service.client.base_url
    connection = socket.create_connection((url.host, url.port or 80), timeout=20)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: 1000\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


@pytest.mark.parametrize("path", [UPDATE, WEBHOOK])
def test_a_body_that_is_too_large_is_413(small: Service, path: str) -> None:
    headers = as_caller(f"large {path}")
    for body in (b"[" * 9 * KB, gzip.compress(b" " * 100 * KB)):
        encoding = {"Content-Encoding": "gzip"} if body[0] == 31 else {}
        response = small.client.post(path, content=body, headers=headers | encoding)
        assert response.status_code == 413
        assert error_of(response) == "The body is larger than 8 kB, packed or unpacked."


def test_an_unknown_encoding_is_415(small: Service) -> None:
    response = small.client.post(UPDATE, content=b"{}", headers=as_caller("odd") | {"Content-Encoding": "br"})
    assert response.status_code == 415
    error_of(response)


@pytest.mark.parametrize("path", [UPDATE, WEBHOOK])
def test_a_body_that_comes_too_slowly_is_408(small: Service, path: str) -> None:
    started = time.monotonic()
    with begun(small, path, b"{", as_caller(f"slow {path}")["Authorization"]) as connection:
        for _ in range(3):
            time.sleep(0.5)
            connection.sendall(b" ")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'{"error":"' in answer
    assert TIMEOUT_SECS * 0.9 < time.monotonic() - started < TIMEOUT_SECS + 3


def test_slow_clients_keep_nobody_waiting(small: Service) -> None:
    slow = [begun(small, UPDATE, b"{", as_caller(f"slow {n}")["Authorization"]) for n in range(40)]
    started = time.monotonic()
    assert small.post(UPDATE, {"user_id": "nobody"}, as_caller("quick")).status_code == 200
    assert time.monotonic() - started < TIMEOUT_SECS
    for connection in slow:
        connection.close()


@pytest.mark.parametrize(
    ("path", "limit", "allowed"), [(UPDATE, "API_RATE_LIMIT", 20), (WEBHOOK, "API_WEBHOOK_RATE_LIMIT", 5)]
)
def test_a_caller_who_asks_too_often_is_429_and_others_are_not(
    small: Service, path: str, limit: str, allowed: int
) -> None:
    headers = as_caller(f"eager {path}")
    answers = [small.post(path, {}, headers) for _ in range(allowed + 10)]
    refused = [answer for answer in answers if answer.status_code == 429]
    # Where one window ends and the next begins, one more may be let in.
    assert len(refused) in {9, 10}
    assert {answer.status_code for answer in answers} == {400, 429}
    assert error_of(refused[0]).endswith(f"{limit} sets the limit.")
    assert 1 <= int(refused[0].headers["retry-after"]) <= 120
    assert small.post(path, {}, as_caller(f"patient {path}")).status_code == 400
    assert small.get(HISTORY, headers, query={"user_id": "a"}).status_code == (429 if path == UPDATE else 200)


def test_webhooks_have_a_limit_of_their_own(small: Service) -> None:
    headers = as_caller("both")
    assert [small.post(WEBHOOK, {}, headers).status_code for _ in range(7)].count(429) > 0
    assert small.post(UPDATE, {}, headers).status_code == 400


def test_work_that_takes_too_long_is_504_and_leaves_no_thread_behind(
    small: Service, learners: Engine
) -> None:
    with learners.begin() as connection, ThreadPoolExecutor(8) as callers:
        connection.execute(sa.text("LOCK TABLE mirt_fit_meta IN ACCESS EXCLUSIVE MODE"))
        started = time.monotonic()
        answers = list(
            callers.map(lambda n: small.post(UPDATE, {"user_id": "a"}, as_caller(f"late {n}")), range(8))
        )
        took_secs = time.monotonic() - started
        assert small.client.get("/healthz").status_code == 200
    assert {answer.status_code for answer in answers} == {504}
    assert took_secs < TIMEOUT_SECS + 2
    for answer in answers:
        assert error_of(answer).endswith("ry again.")
        assert int(answer.headers["retry-after"]) >= 1
    end = time.monotonic() + 2 * TIMEOUT_SECS + 2
    while small.post(UPDATE, {"user_id": "a"}, as_caller(f"after {time.monotonic()}")).status_code != 200:
        assert time.monotonic() < end
    assert small.metric('theta_update_total{status="error"}') >= 8
