"""Webhooks over real HTTP: signatures, tokens, and both."""

import hashlib
import hmac
import time
from contextlib import closing
from http.client import HTTPConnection

import httpx
import pytest

from seedtest.api.auth.key_sources import KeyServer
from seedtest.api.auth.signatures import sign, signed_headers
from tests.api.auth.issuing import FOREIGN, bearer, token
from tests.api.auth.key_servers import Served
from tests.api.auth.services import (
    SECRETS,
    TOLERANCE_SECS,
    create_app,
    jwt_config,
    running,
)

BODY = b'{"session_id": "s-1", "user_id": "\xea\xb9\x80", "completed_at": "2026-10-30T10:00:00Z"}'
MISMATCH = "The webhook's signature does not match its body and timestamp."
FORM = "X-Seedtest-Signature must be v1=<64 hex digits>, or several with commas."
TIMESTAMP = "X-Seedtest-Timestamp must be one number of Unix seconds."
LATE = "The webhook's timestamp is more than 300 s from the time here."

Pairs = dict[str, str]


def now() -> int:
    return int(time.time())


def signed(secret: str = SECRETS[0], *, at: int | None = None, body: bytes = BODY) -> Pairs:
    return signed_headers(secret, now() if at is None else at, body)


def refused(client: httpx.Client, headers: Pairs | list[tuple[str, str]] | list[tuple[bytes, bytes]]) -> str:
    """The error of a webhook that is refused for what its headers say."""
    response = client.post("/webhook", content=BODY, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json().keys() == {"error"}
    return str(response.json()["error"])


def test_a_signature_is_hmac_sha256_of_time_and_body() -> None:
    expected = hmac.new(b"secret", b"1767225600." + BODY, hashlib.sha256).hexdigest()
    assert sign("secret", 1767225600, BODY) == f"v1={expected}"
    # The example of docs/theta-api.md.
    body = b'{"session_id":"s-1","user_id":"u-1","completed_at":"2026-01-01T00:00:00Z"}'
    assert sign("secret", 1767225600, body) == (
        "v1=61abce680550ef612a74abb5fe401c395f4de3c4bd5daf294e986905f0205b98"
    )


@pytest.mark.parametrize("secret", SECRETS)
def test_either_secret_of_a_rotation_lets_in(service: httpx.Client, secret: str) -> None:
    response = service.post("/webhook", content=BODY, headers=signed(secret))
    assert (response.status_code, response.json()) == (200, [None, BODY.decode("latin-1")])


def test_the_body_may_be_empty(service: httpx.Client) -> None:
    assert service.post("/webhook", headers=signed(body=b"")).status_code == 200


@pytest.mark.parametrize("join", [",", ", ", " , v0=abc, "])
def test_one_good_signature_of_several_suffices(service: httpx.Client, join: str) -> None:
    at = now()
    several = join.join([sign("unknown", at, BODY), sign(SECRETS[1], at, BODY)])
    headers = signed(at=at) | {"X-Seedtest-Signature": several}
    assert service.post("/webhook", content=BODY, headers=headers).status_code == 200


def test_signatures_may_come_in_several_headers_and_in_upper_case(service: httpx.Client) -> None:
    at = now()
    good = sign(SECRETS[0], at, BODY).upper().replace("V1", "v1")
    headers = [
        ("X-Seedtest-Timestamp", str(at)),
        ("X-Seedtest-Signature", sign("unknown", at, BODY)),
        ("X-Seedtest-Signature", good),
    ]
    assert service.post("/webhook", content=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize("sign_of", [-1, 1])
def test_clocks_may_differ_by_the_tolerance_both_ways(service: httpx.Client, sign_of: int) -> None:
    at = now() + sign_of * (int(TOLERANCE_SECS) - 20)
    assert service.post("/webhook", content=BODY, headers=signed(at=at)).status_code == 200


def test_a_repeated_webhook_is_let_in_again(service: httpx.Client) -> None:
    headers = signed()
    assert {service.post("/webhook", content=BODY, headers=headers).status_code for _ in range(3)} == {200}


# -- what is refused --------------------------------------------------------------------------------


def test_a_wrong_secret_a_changed_body_and_a_changed_time_do_not_match(service: httpx.Client) -> None:
    assert refused(service, signed("another secret")) == MISMATCH
    assert refused(service, signed(body=BODY + b" ")) == MISMATCH
    assert refused(service, signed() | {"X-Seedtest-Timestamp": str(now() - 5)}) == MISMATCH
    # Secrets are told apart: the two joined by their comma are no secret.
    assert refused(service, signed(",".join(SECRETS))) == MISMATCH
    assert refused(service, signed("")) == MISMATCH


@pytest.mark.parametrize("offset", [-TOLERANCE_SECS - 5, TOLERANCE_SECS + 20])
def test_an_old_or_a_future_timestamp_is_refused(service: httpx.Client, offset: float) -> None:
    assert refused(service, signed(at=now() + int(offset))) == LATE


@pytest.mark.parametrize("timestamp", ["", "now", "1e9", "-5", "0", "01767225600", "1" * 13, "1.5", "١٢٣"])
def test_a_timestamp_is_a_plain_number(service: httpx.Client, timestamp: str) -> None:
    headers = [(name.encode(), value.encode()) for name, value in signed().items()]
    headers[0] = (headers[0][0], timestamp.encode())
    assert refused(service, headers) == TIMESTAMP


def test_one_timestamp_is_needed(service: httpx.Client) -> None:
    headers = signed()
    time_sent = headers.pop("X-Seedtest-Timestamp")
    assert refused(service, headers) == TIMESTAMP
    twice = [("X-Seedtest-Timestamp", time_sent)] * 2
    assert refused(service, [*headers.items(), *twice]) == TIMESTAMP


@pytest.mark.parametrize(
    "signature",
    ["", "v1=", "v1", ",", "v2=" + "0" * 64, "0" * 64, "v1=" + "0" * 63, "v1=" + "g" * 64, "v1= " + "0" * 64],
)
def test_a_signature_has_its_form(service: httpx.Client, signature: str) -> None:
    assert refused(service, signed() | {"X-Seedtest-Signature": signature}) == FORM


def test_headers_that_are_not_ascii_are_refused(service: httpx.Client) -> None:
    at = str(now()).encode()
    for signature in ("v1=서명".encode(), b"v1=" + b"\xff" * 64, b"v1=" + "０".encode() * 64):
        headers = [(b"X-Seedtest-Timestamp", at), (b"X-Seedtest-Signature", signature)]
        assert refused(service, headers) == FORM


def test_without_signature_and_token_it_is_missing_authorization(service: httpx.Client) -> None:
    assert refused(service, {}) == "Missing Authorization"
    assert refused(service, {"X-Seedtest-Timestamp": str(now())}) == "Missing Authorization"


@pytest.mark.parametrize("headers", [{}, signed(at=5), bearer("x"), signed() | bearer("x")])
def test_the_body_is_not_waited_for_where_the_headers_are_wrong(
    service: httpx.Client, headers: Pairs
) -> None:
    connection = HTTPConnection(service.base_url.host, service.base_url.port, timeout=20)
    with closing(connection):
        connection.putrequest("POST", "/webhook")
        for name, value in ({"Content-Length": "100"} | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 401


def test_without_a_configured_secret_signatures_are_refused(steady: Served) -> None:
    with running(create_app(jwt_config(KeyServer(steady.url, 300)), secrets=())) as client:
        why = "Signatures are not accepted here: no secret is configured."
        assert refused(client, signed()) == why
        assert refused(client, signed("")) == why
        assert client.post("/webhook", content=BODY, headers=bearer(token())).status_code == 200


# -- tokens, and both ------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["analysis:run", "exam:write"])
def test_a_token_with_the_scope_needs_no_signature(service: httpx.Client, scope: str) -> None:
    response = service.post("/webhook", content=BODY, headers=bearer(token(scope=scope)))
    assert (response.status_code, response.json()[0]) == (200, "anna")


def test_a_token_without_the_scope_is_403(service: httpx.Client) -> None:
    response = service.post("/webhook", content=BODY, headers=bearer(token(scope="reports:view")))
    assert (response.status_code, response.json()) == (403, {"error": "insufficient_scope"})


def test_of_token_and_signature_both_must_hold(service: httpx.Client) -> None:
    good, bad = signed(), signed("another secret")
    assert service.post("/webhook", content=BODY, headers=good | bearer(token())).status_code == 200
    assert refused(service, bad | bearer(token())) == MISMATCH
    assert refused(service, good | bearer(token(key=FOREIGN))) == "The token's signature is wrong."
    weak = good | bearer(token(scope="reports:view"))
    assert service.post("/webhook", content=BODY, headers=weak).status_code == 403
