"""Key servers: rotation, floods, outages, and documents that are no key set."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from jwt.algorithms import RSAAlgorithm
from prometheus_client import CollectorRegistry

from seedtest.api.auth.key_sources import MAX_KEY_SET_BYTES, KeyServer, ServedKeys
from seedtest.api.auth.metrics import AuthMetrics
from tests.api.auth.issuing import (
    FOREIGN,
    KEY_ID,
    TRUSTED,
    bearer,
    key_set,
    private_key,
    published,
    token,
)
from tests.api.auth.key_servers import Served, key_server
from tests.api.auth.services import create_app, jwt_config, running
from tests.api.auth.test_tokens import ALGORITHM, ATTACKS

UNKNOWN = "The token is signed with a key that its issuer does not publish."
UNAVAILABLE = (
    "The token cannot be checked: its key is not known, and the key server cannot be reached. Try again."
)
REFETCH_SECS = 0.1


@contextmanager
def service_of(
    served: Served,
    *,
    fresh_secs: float = 300,
    stale_secs: float = 3600,
    refetch_secs: float = REFETCH_SECS,
    timeout_secs: float = 3,
) -> Iterator[httpx.Client]:
    server = KeyServer(served.url, fresh_secs, stale_secs, refetch_secs, timeout_secs)
    with running(create_app(jwt_config(server))) as client:
        yield client


def ask(client: httpx.Client, given: str | None = None) -> int:
    return client.post("/update", headers=bearer(given or token())).status_code


def unknown(number: object = 1) -> str:
    return token(headers={"kid": f"unknown-{number}"})


def refreshes(client: httpx.Client) -> dict[str, int]:
    lines = [
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("theta_jwks_refreshes_total")
    ]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}


def test_the_key_set_is_fetched_once_while_it_is_fresh(served: Served) -> None:
    with service_of(served) as client:
        assert {ask(client) for _ in range(50)} == {200}
        assert served.fetches == 1
        assert refreshes(client) == {"ok": 1, "unreachable": 0, "invalid": 0}


def test_callers_who_come_at_once_share_one_fetch(served: Served) -> None:
    served.hang()
    with service_of(served) as client, ThreadPoolExecutor(20) as callers:
        asked = [callers.submit(ask, client) for _ in range(20)]
        time.sleep(0.3)
        assert client.get("/healthz").status_code == 200
        served.recover()
        assert {answer.result() for answer in asked} == {200}
        assert served.fetches == 1


@pytest.mark.anyio
async def test_a_caller_who_gives_up_does_not_end_the_fetch_of_the_others(served: Served) -> None:
    served.hang()
    keys = ServedKeys(KeyServer(served.url, 300), AuthMetrics(CollectorRegistry()))
    patient = asyncio.create_task(keys.find(KEY_ID))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(keys.find(KEY_ID), 0.2)
    served.recover()
    assert await patient == private_key(TRUSTED).public_key()
    assert served.fetches == 1


def test_what_is_no_token_of_ours_causes_no_fetch(served: Served) -> None:
    with service_of(served) as client:
        for forge, why in ATTACKS.values():
            if why == ALGORITHM or "longer" in why:
                assert ask(client, forge()) == 401
        assert ask(client, "x.y.z") == 401
    assert served.fetches == 0


def test_keys_rotate_without_a_restart(served: Served) -> None:
    rotated = token(key=FOREIGN, headers={"kid": "key-2"})
    with service_of(served, refetch_secs=0) as client:
        assert (ask(client), ask(client, rotated)) == (200, 401)
        served.document = key_set(published(KEY_ID), published("key-2", FOREIGN))
        assert (ask(client), ask(client, rotated)) == (200, 200)
        served.document = key_set(published("key-2", FOREIGN))
        assert ask(client, unknown()) == 401
        assert (ask(client), ask(client, rotated)) == (401, 200)


def test_a_withdrawn_key_is_refused_once_the_set_is_no_longer_fresh(served: Served) -> None:
    with service_of(served, fresh_secs=0.3) as client:
        assert ask(client) == 200
        served.document = key_set()
        time.sleep(0.5)
        assert ask(client) == 401


def test_a_set_is_renewed_in_the_background_before_its_time_is_over(served: Served) -> None:
    with service_of(served, fresh_secs=5, timeout_secs=20) as client:
        assert ask(client) == 200
        served.hang()
        time.sleep(4.2)
        begun = time.monotonic()
        assert ask(client) == 200
        assert time.monotonic() - begun < 0.6
        served.recover()
    assert served.fetches == 2


def test_a_flood_of_unknown_keys_does_not_reach_the_key_server(served: Served) -> None:
    refetch_secs = 5.0
    with service_of(served, refetch_secs=refetch_secs) as client, ThreadPoolExecutor(8) as flood:
        assert ask(client) == 200
        begun = time.monotonic()
        given = [unknown(number) for number in range(1000)]
        assert set(flood.map(lambda one: ask(client, one), given)) == {401}
        allowed = 1 + (time.monotonic() - begun) // refetch_secs
        assert served.fetches <= 1 + allowed
        assert ask(client) == 200


def test_a_flood_during_an_outage_does_not_either(served: Served) -> None:
    served.status = 500
    with service_of(served, refetch_secs=5) as client, ThreadPoolExecutor(8) as flood:
        assert set(flood.map(lambda one: ask(client, unknown(one)), range(100))) == {503}
    assert served.fetches <= 2


def test_a_key_server_that_is_down_gives_503_and_then_is_back(served: Served) -> None:
    served.status = 500
    with service_of(served) as client:
        response = client.post("/update", headers=bearer(token()))
        assert (response.status_code, response.json()) == (503, {"error": UNAVAILABLE})
        assert response.headers["Retry-After"] == "1"
        assert client.get("/readyz").json() == "the key server cannot be reached"
        served.recover()
        time.sleep(2 * REFETCH_SECS)
        assert client.get("/readyz").json() is None
        assert ask(client) == 200
        assert refreshes(client)["unreachable"] >= 1


def test_a_key_server_that_refuses_connections_gives_503() -> None:
    with key_server(key_set(published(KEY_ID))) as gone:
        pass
    with service_of(gone) as client:
        assert ask(client) == 503


def test_a_key_server_that_hangs_is_given_up_and_holds_up_nobody_else(served: Served) -> None:
    served.hang()
    with service_of(served, timeout_secs=0.5, refetch_secs=30) as client, ThreadPoolExecutor(1) as other:
        asked = other.submit(ask, client)
        assert client.get("/healthz").status_code == 200
        assert client.post("/update").status_code == 401
        assert asked.result(5) == 503
        assert ask(client) == 503
        assert served.fetches == 1


def test_known_keys_outlast_an_outage_for_a_while_and_not_for_ever(served: Served) -> None:
    with service_of(served, fresh_secs=0.3, stale_secs=4, timeout_secs=1) as client:
        assert ask(client) == 200
        fetched_at = time.monotonic()
        served.hang()
        time.sleep(0.5)
        assert ask(client) == 200
        time.sleep(2 * REFETCH_SECS)
        begun = time.monotonic()
        assert ask(client) == 200
        # Only the first waited to learn that the server hangs.
        assert time.monotonic() - begun < 0.8
        # An unknown key may be a new one: nobody can say.
        assert ask(client, unknown()) == 503
        assert client.get("/readyz").json() is None
        assert time.monotonic() - fetched_at < 4
        time.sleep(4.5 - (time.monotonic() - fetched_at))
        assert ask(client) == 503
        served.recover()
        time.sleep(2 * REFETCH_SECS)
        assert ask(client) == 200


# -- documents that are no key set, and keys that may not sign ---------------------------------------

NO_KEY_SETS: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"<html>Sign in</html>",
    "not UTF-8": b"\xff\xfe\x00",
    "a list": b"[]",
    "no keys": b"{}",
    "keys no list": b'{"keys": {"kid": "key-1"}}',
    "nested deeply": b"[" * 100_000,
    "a number too long": b'{"keys": ' + b"9" * 10_000 + b"}",
    "too many": key_set(*[published(f"key-{number}") for number in range(101)]),
    "too large": key_set(published(KEY_ID), {"padding": "x" * MAX_KEY_SET_BYTES}),
}


@pytest.mark.parametrize("document", NO_KEY_SETS)
def test_what_is_no_key_set_is_an_outage(served: Served, document: str) -> None:
    served.document = NO_KEY_SETS[document]
    with service_of(served) as client:
        assert ask(client) == 503
        assert refreshes(client) == {"ok": 0, "unreachable": 0, "invalid": 1}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(served: Served, status: int) -> None:
    with key_server(key_set(published(KEY_ID))) as elsewhere, service_of(served) as client:
        served.status, served.location = status, elsewhere.url
        assert ask(client) == 503
        assert elsewhere.fetches == 0


UNUSABLE: dict[str, Any] = {
    "for encryption": published(KEY_ID, use="enc"),
    "for another algorithm": published(KEY_ID, alg="RS512"),
    "for an algorithm with a secret": published(KEY_ID, alg="HS256"),
    "a secret": {"kty": "oct", "kid": KEY_ID, "k": "c2VjcmV0"},
    "a curve": {"kty": "EC", "crv": "P-256", "kid": KEY_ID, "x": "AA", "y": "AA"},
    "too short": published(KEY_ID, bits=1024),
    "private": {**RSAAlgorithm.to_jwk(private_key(TRUSTED), as_dict=True), "kid": KEY_ID, "key_ops": None},
    "half private": published(KEY_ID, d="AQAB"),
    "without id": published(KEY_ID, kid=None),
    "with a number as id": published(KEY_ID, kid=1),
    "with an even exponent": published(KEY_ID, e="Ag"),
    "without modulus": published(KEY_ID, n=None),
    "with a modulus that is no text": published(KEY_ID, n=5),
    "with a modulus that is not base64": published(KEY_ID, n="?"),
    "with an alg that is no text": published(KEY_ID, alg=["RS256"]),
    "null": None,
    "a word": KEY_ID,
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_key_that_may_not_sign_is_left_out_and_spoils_no_other(served: Served, kind: str) -> None:
    served.document = key_set(UNUSABLE[kind], published("key-2", FOREIGN))
    with service_of(served) as client:
        response = client.post("/update", headers=bearer(token()))
        assert (response.status_code, response.json()) == (401, {"error": UNKNOWN})
        assert ask(client, token(key=FOREIGN, headers={"kid": "key-2"})) == 200
        assert refreshes(client)["ok"] == 1


def test_a_key_need_not_say_its_use_and_algorithm(served: Served) -> None:
    member = {name: value for name, value in published(KEY_ID).items() if name not in {"use", "alg"}}
    served.document = json.dumps({"keys": [member]}).encode()
    with service_of(served) as client:
        assert ask(client) == 200
