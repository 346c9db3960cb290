"""The embedded service under pressure: bodies too large or too slow, clients that leave, too many at once."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from tests.irt_service.answers import observation
from tests.irt_service.services import TOKEN, Service, error_of, running

MB = 1_000_000
ROOM = 2
START = b'{"model": "2PL", "observations": ['
ANSWER = b'{"user_id": "u1", "item_id": "Q1", "is_correct": true},'


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that takes 8 MB, waits three seconds for a byte, and has room for two calibrations."""
    with running(
        "embedded",
        tmp_path_factory.mktemp("small"),
        TOKEN,
        IRT_SERVICE_MAX_BODY_MB="8",
        IRT_SERVICE_IDLE_SECS="3",
        IRT_SERVICE_MAX_CALIBRATIONS=str(ROOM),
    ) as found:
        yield found


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service as it comes."""
    with running("embedded", tmp_path_factory.mktemp("roomy"), TOKEN) as found:
        yield found


def rss(service: Service) -> int:
    return int(psutil.Process(service.process.pid).memory_info().rss)


def metric(service: Service, name: str) -> float:
    lines = service.client.get("/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def until(service: Service, name: str, value: float, secs: float = 20) -> None:
    end = time.monotonic() + secs
    while metric(service, name) != value:
        assert time.monotonic() < end, f"{name} is {metric(service, name)} and not {value}"
        time.sleep(0.05)


def begun(service: Service, body: bytes, declared: int) -> socket.socket:
    """A calibration whose body is not all sent."""
    url = service.client.base_url
    connection = socket.create_connection((url.host, url.port or 80), timeout=20)
    connection.sendall(
        b"POST /irt/calibrate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
        % (TOKEN.encode(), declared, body)
    )
    return connection


def test_a_body_that_says_it_is_too_large_is_413(small: Service) -> None:
    response = small.post_bytes("/irt/calibrate", START + ANSWER * 200_000)
    assert response.status_code == 413
    assert "8 MB" in error_of(response)


def test_a_body_of_unknown_length_is_413_once_it_is_too_large(small: Service) -> None:
    def endless() -> Iterator[bytes]:
        yield START
        for _ in range(1000):
            yield ANSWER * 1000

    response = small.client.post("/irt/calibrate", content=endless())
    assert response.status_code == 413
    error_of(response)


@pytest.mark.parametrize("filling", [ANSWER, b" "])
def test_a_gzip_bomb_is_refused_without_being_unpacked_whole(small: Service, filling: bytes) -> None:
    bomb = gzip.compress(START + filling * (300 * MB // len(filling)), 9)
    assert len(bomb) < 2 * MB
    before = rss(small)
    status, _ = small.refusal("/irt/calibrate", bomb, content_encoding="gzip")
    assert status in {400, 413}
    assert rss(small) - before < 40 * MB


def test_a_body_that_stands_still_is_408(small: Service) -> None:
    with begun(small, START, declared=1000) as connection:
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"error"' in answer


def test_beyond_its_room_the_service_refuses_and_says_when_to_try_again(small: Service) -> None:
    waiting = [begun(small, START, declared=1000) for _ in range(ROOM)]
    until(small, "irt_calibrations_in_progress", ROOM, secs=2.5)
    response = small.post_bytes("/irt/calibrate", START + b"]}")
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    error_of(response)
    for connection in waiting:
        connection.close()
    until(small, "irt_calibrations_in_progress", 0)
    assert small.refusal("/irt/calibrate", START + b"]}")[0] == 422


def test_uploads_that_break_off_leave_nothing_behind(roomy: Service) -> None:
    broken_off = 'http_requests_total{method="POST",path="/irt/calibrate",status="499"}'
    sizes = []
    for number in range(1, 31):
        begun(roomy, START + ANSWER * 20_000, declared=10 * MB).close()
        until(roomy, broken_off, number)
        sizes.append(rss(roomy))
    assert metric(roomy, "irt_calibrations_in_progress") == 0
    assert sizes[-1] - sizes[4] < 20 * MB
    assert "Traceback" not in roomy.log.read_text()


def test_a_million_small_values_beside_the_answers_are_too_many(roomy: Service) -> None:
    body = b'{"model": "2PL", "unknown": [' + b"0," * 5_000_000
    status, message = roomy.refusal("/irt/calibrate", gzip.compress(body, 1), content_encoding="gzip")
    assert status == 413
    assert "values" in message


@pytest.mark.parametrize("end", [b'"', b'{"user_id": "'])
def test_a_single_endless_text_is_not_kept(roomy: Service, end: bytes) -> None:
    before = rss(roomy)
    status, message = roomy.refusal("/irt/calibrate", START + end + b"x" * (50 * MB))
    assert status == 400
    assert "1 MiB" in message
    assert rss(roomy) - before < 20 * MB


@pytest.fixture(scope="module")
def long_fit() -> bytes:
    """Answers by the toss of a coin: a 3PL takes hundreds of steps to find that there is nothing in them."""
    rng = np.random.default_rng(0)
    observations = [
        observation(f"u{user}", f"Q{item}", bool(right))
        for (user, item), right in np.ndenumerate(rng.random((6000, 40)) < 0.5)
    ]
    return json.dumps({"model": "3PL", "observations": observations}).encode()


def test_during_a_fit_the_service_answers(roomy: Service, long_fit: bytes) -> None:
    seconds = []
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(roomy.post_bytes, "/irt/calibrate", long_fit)
        until(roomy, "irt_calibrations_in_progress", 1)
        while not answer.done():
            asked = time.monotonic()
            assert roomy.client.get("/healthz").status_code == 200
            seconds.append(time.monotonic() - asked)
    assert answer.result().status_code in {200, 422}
    assert len(seconds) > 10
    assert np.median(seconds) < 0.1


def test_a_fit_ends_when_its_client_leaves(roomy: Service, long_fit: bytes) -> None:
    received = metric(roomy, "irt_observations_total")
    connection = begun(roomy, long_fit, declared=len(long_fit))
    until(roomy, "irt_observations_total", received + 240_000)
    connection.close()
    until(roomy, 'irt_fits_total{outcome="abandoned"}', 1, secs=10)
    assert metric(roomy, "irt_calibrations_in_progress") == 0
    assert "Traceback" not in roomy.log.read_text()


def test_who_waits_for_a_fit_and_leaves_has_none(roomy: Service, long_fit: bytes) -> None:
    abandoned = metric(roomy, 'irt_fits_total{outcome="abandoned"}')
    received = metric(roomy, "irt_observations_total")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(roomy.post_bytes, "/irt/calibrate", long_fit)
        until(roomy, "irt_observations_total", received + 240_000)
        second = begun(roomy, long_fit, declared=len(long_fit))
        until(roomy, "irt_observations_total", received + 480_000)
        second.close()
        until(roomy, 'irt_fits_total{outcome="abandoned"}', abandoned + 1)
    assert first.result().status_code in {200, 422}
