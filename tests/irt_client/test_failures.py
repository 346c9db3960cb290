"""What the client does when the service fails, over real sockets: again or not, and what it says."""

import datetime as dt
import gzip
import json
import os
import re
import signal
import socket
import time
from email.utils import format_datetime
from typing import Any

import polars as pl
import pytest

from seedtest.errors import CalibrationError, ConfigurationError, IrtServiceError
from seedtest.irt_client.engine import HttpEngine
from seedtest.irt_client.retries import LONGEST_ASKED_WAIT_SECS
from seedtest.settings import load_settings
from tests.irt_client.cohort import answer, request
from tests.irt_client.conftest import TOKEN, MakeEngine, engine_at
from tests.irt_client.service import Behaviour, Exchange, Service, http, says, sends

OK = says(200, answer())


def failure(engine: HttpEngine, kind: type[Exception] = IrtServiceError) -> str:
    """Return the message of the error that a fit ends with."""
    with pytest.raises(kind) as caught:
        engine.fit(request())
    return str(caught.value)


def attempts(log: list[str]) -> list[str]:
    return [line for line in log if line.startswith("R IRT service call failed")]


def drop_in_the_answer(exchange: Exchange) -> None:
    exchange.read_request()
    whole = json.dumps(answer()).encode()
    exchange.send(http(200, whole[: len(whole) // 2], length=len(whole)))


def drop_before_the_answer(exchange: Exchange) -> None:
    exchange.read_request()


def drop_in_the_upload(exchange: Exchange) -> None:
    exchange.read_headers()
    exchange.reset()


def hang(exchange: Exchange) -> None:
    exchange.hang()


def drip(exchange: Exchange) -> None:
    """Send a byte now and then, so that no single read ever times out."""
    exchange.read_request()
    for byte in http(200, json.dumps(answer()).encode()):
        if exchange.stopping.wait(0.1):
            return
        exchange.send(bytes([byte]))


# -- what is tried again -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (drop_in_the_answer, r"the connection broke: peer closed connection .*received \d+ bytes"),
        (drop_before_the_answer, "the connection broke: Server disconnected"),
        (drop_in_the_upload, "the connection broke: "),
        (says(500, {"error": "out of memory"}), "HTTP 500: out of memory$"),
        (says(503, b"<html>upstream</html>"), "HTTP 503$"),
        (says(429, {"error": "busy"}), "HTTP 429: busy$"),
        (says(200, b"<html>Welcome</html>"), r"the answer of 20 bytes is not JSON"),
        (says(200, json.dumps(answer()).encode()[:200]), r"the answer of 200 bytes is not JSON"),
        (says(200, b""), r"the answer of 0 bytes is not JSON"),
        (says(200, b"no gzip", "Content-Encoding: gzip"), "the answer cannot be decoded"),
        (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "the connection broke: "),
    ],
)
def test_what_may_pass_is_tried_again_and_told(
    service: Service, make_engine: MakeEngine, core_log: list[str], behaviour: Behaviour, reason: str
) -> None:
    service.behaviours = [behaviour]
    message = failure(make_engine())
    assert re.search(f"^R IRT service call failed after 3 attempts: {reason}", message)
    assert service.n_connections == 3
    told = attempts(core_log)
    assert [line.split(":")[0] for line in told] == [
        "R IRT service call failed (attempt 1/3)",
        "R IRT service call failed (attempt 2/3)",
        "R IRT service call failed (attempt 3/3)",
        "R IRT service call failed after 3 attempts",
    ]
    assert told[-1] == message
    assert all(re.search(reason, line) for line in told)


@pytest.mark.parametrize(
    "behaviour", [says(500, {"error": "no"}), drop_in_the_answer, drop_in_the_upload, says(200, b"<html>")]
)
def test_two_failures_and_then_an_answer_make_a_fit_from_a_whole_body(
    service: Service, make_engine: MakeEngine, core_log: list[str], behaviour: Behaviour
) -> None:
    service.behaviours = [behaviour, behaviour, OK]
    fit = make_engine().fit(request())
    assert fit.calibration.items.item_ids == ("Q1", "Q2", "Q3", "Q4")
    assert len(attempts(core_log)) == 2
    assert len(service.received[-1].body["observations"]) == 12


def test_a_service_that_refuses_connections(core_log: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        engine = engine_at(f"http://127.0.0.1:{taken.getsockname()[1]}")
        message = failure(engine)
    assert message == "R IRT service call failed after 3 attempts: cannot connect: Connection refused"
    assert len(attempts(core_log)) == 4


def test_a_name_that_does_not_resolve_is_told() -> None:
    message = failure(engine_at("http://no-such-service.invalid", mirt_max_retries=1))
    assert message.startswith("R IRT service call failed after 1 attempts: cannot connect: ")


@pytest.mark.parametrize("behaviour", [hang, drip])
def test_a_service_that_hangs_or_drips_is_given_its_time_and_no_more(
    service: Service, make_engine: MakeEngine, behaviour: Behaviour
) -> None:
    service.behaviours = [behaviour]
    start = time.monotonic()
    message = failure(make_engine(r_irt_timeout_secs=0.5, mirt_max_retries=2))
    assert message == "R IRT service call failed after 2 attempts: timed out after 0.5 s"
    assert 1.0 <= time.monotonic() - start < 4.0


def test_a_service_that_stops_reading_times_out(service: Service, make_engine: MakeEngine) -> None:
    service.behaviours = [hang]
    ids = pl.int_range(400_000, eager=True).hash(seed=1).cast(pl.String)
    many = pl.DataFrame({"user_id": ids, "item_id": "Q1", "correct": True})
    engine = make_engine(r_irt_timeout_secs=1.0, mirt_max_retries=1)
    with pytest.raises(IrtServiceError, match="timed out after 1 s"):
        engine.fit(request(answers=many))


class StoppedError(Exception):
    """What a run is interrupted by."""


def test_an_interrupted_run_leaves_its_call_at_once(service: Service, make_engine: MakeEngine) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise StoppedError

    def interrupt_and_hang(exchange: Exchange) -> None:
        exchange.read_request()
        os.kill(os.getpid(), signal.SIGUSR1)
        exchange.hang()

    service.behaviours = [interrupt_and_hang]
    before = signal.signal(signal.SIGUSR1, interrupt)
    start = time.monotonic()
    try:
        with pytest.raises(StoppedError):
            make_engine(r_irt_timeout_secs=30.0).fit(request())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - start < 10
    assert service.n_connections == 1


# -- what is not -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (
            400,
            {"error": "observations[3].item_id is missing"},
            "HTTP 400: observations[3].item_id is missing",
        ),
        (
            401,
            {"error": "bad token"},
            "HTTP 401: bad token: the token was refused; R_IRT_INTERNAL_TOKEN must be the service's token",
        ),
        (404, b"", "HTTP 404: no IRT service answers there; check R_IRT_BASE_URL"),
        (408, {"error": "slow"}, "HTTP 408: slow"),
        (
            413,
            {"error": "too long"},
            "HTTP 413: too long: too many answers for the service; raise its limit or lower MIRT_MAX_OBS",
        ),
        (204, b"", "HTTP 204"),
    ],
)
def test_a_refusal_is_final(
    service: Service, make_engine: MakeEngine, core_log: list[str], status: int, said: Any, reason: str
) -> None:
    service.behaviours = [says(status, said)]
    assert failure(make_engine()) == f"R IRT service call failed after 1 attempts: {reason}"
    assert attempts(core_log)[0] == f"R IRT service call failed (attempt 1/3): {reason}"
    assert service.n_connections == 1


def test_data_that_no_model_fits_is_the_engines_error_as_of_any_engine(
    service: Service, make_engine: MakeEngine
) -> None:
    service.behaviours = [says(422, {"error": "2 usable items; 3 are needed"})]
    message = failure(make_engine(), CalibrationError)
    assert message == "R IRT service call failed after 1 attempts: HTTP 422: 2 usable items; 3 are needed"
    assert service.n_connections == 1


def test_a_redirect_is_not_followed_since_the_token_would_go_along(
    service: Service, make_engine: MakeEngine
) -> None:
    service.behaviours = [says(307, b"", f"Location: {service.address}/elsewhere"), OK]
    assert "HTTP 307: it redirects elsewhere, where the token must not go" in failure(make_engine())
    assert service.n_connections == 1


def test_an_early_refusal_is_heard_though_the_upload_is_cut_short(
    service: Service, make_engine: MakeEngine
) -> None:
    def refuse(exchange: Exchange) -> None:
        exchange.read_headers()
        exchange.send(http(413, b'{"error": "more than 1 MB"}'))
        exchange.connection.shutdown(socket.SHUT_WR)
        while exchange.connection.recv(65536):
            pass

    service.behaviours = [refuse]
    assert "HTTP 413: more than 1 MB" in failure(make_engine())


def test_an_answer_without_end_is_cut_off(service: Service, make_engine: MakeEngine) -> None:
    service.behaviours = [says(200, gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip")]
    message = failure(make_engine())
    assert "the answer is longer than 1028000 bytes" in message
    assert service.n_connections == 1


# -- how long it waits -------------------------------------------------------------------------------


def test_by_default_three_attempts_wait_five_and_ten_seconds() -> None:
    engine = HttpEngine.from_settings(load_settings())
    assert engine.retries.attempts == 3
    assert [engine.retries.delay_secs(failures) for failures in (1, 2)] == [5.0, 10.0]
    assert engine.endpoint.timeout_secs == 60.0


def test_a_service_that_asks_for_more_time_gets_it_within_reason() -> None:
    policy = HttpEngine.from_settings(load_settings()).retries
    assert policy.delay_secs(1, asked_secs=7.0) == 7.0
    assert policy.delay_secs(2, asked_secs=7.0) == 10.0
    assert policy.delay_secs(1, asked_secs=86_400.0) == LONGEST_ASKED_WAIT_SECS


def in_two_seconds() -> str:
    return format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize(
    ("asked", "shortest_secs"), [("1", 1.0), (in_two_seconds, 0.5), ("soon", 0.0), ("-5", 0.0)]
)
def test_retry_after_is_honoured_as_seconds_or_as_a_date(
    service: Service, make_engine: MakeEngine, asked: Any, shortest_secs: float
) -> None:
    text = asked if isinstance(asked, str) else asked()
    service.behaviours = [says(429, {"error": "busy"}, f"Retry-After: {text}"), OK]
    start = time.monotonic()
    make_engine().fit(request())
    assert shortest_secs <= time.monotonic() - start < shortest_secs + 5
    assert service.n_connections == 2


# -- what it must not tell ---------------------------------------------------------------------------


def test_the_token_goes_in_a_header_and_nowhere_else(
    service: Service, make_engine: MakeEngine, core_log: list[str]
) -> None:
    service.behaviours = [says(401, {"error": f"not {TOKEN}"})]
    engine = make_engine()

    def note(exchange: Exchange) -> None:
        exchange.read_request()
        exchange.send(http(401, json.dumps({"error": f"not {TOKEN}"}).encode()))

    service.behaviours = [note]
    message = failure(engine)
    assert service.received[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "HTTP 401: not [token]" in message
    assert TOKEN not in message + " ".join(core_log) + repr(engine) + json.dumps(service.received[0].body)


def test_without_a_token_none_is_sent(service: Service) -> None:
    service.behaviours = [OK]
    settings = load_settings(r_irt_base_url=service.address)
    HttpEngine.from_settings(settings).fit(request())
    assert "authorization" not in service.received[0].headers


@pytest.mark.parametrize("token", ["two\nlines", "a space", "비밀", " "])
def test_a_token_that_no_header_can_carry_is_refused_unseen(token: str) -> None:
    with pytest.raises(ConfigurationError, match="R_IRT_INTERNAL_TOKEN cannot be sent") as caught:
        engine_at("http://127.0.0.1:1", r_irt_internal_token=token)
    assert token.strip() == "" or token not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["irt.example", "ftp://irt.example", "http://", "http://user:word@irt.example", "http://h?q=1"]
)
def test_an_address_that_cannot_be_called_is_refused_without_quoting_it(address: str) -> None:
    with pytest.raises(ConfigurationError, match="R_IRT_BASE_URL") as caught:
        engine_at(address)
    assert "word" not in str(caught.value)


def test_proxies_and_credentials_of_the_environment_are_not_used(
    service: Service, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    service.behaviours = [OK]
    make_engine().fit(request())
    assert service.received[0].target == "/irt/calibrate"


def test_a_path_in_the_address_is_kept(service: Service) -> None:
    service.behaviours = [OK]
    engine_at(f"{service.address}/behind/a/gateway/").fit(request())
    assert service.received[0].target == "/behind/a/gateway/irt/calibrate"
