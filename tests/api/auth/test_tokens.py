"""Tokens over real HTTP: who is let in, and every known way to forge one."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from seedtest.api.auth.caller import Caller
from seedtest.api.auth.tokens import MAX_TOKEN_CHARS
from tests.api.auth.issuing import (
    AUDIENCE,
    FOREIGN,
    ISSUER,
    KEY_ID,
    bearer,
    claims,
    forged,
    key_set,
    private_key,
    public_pem,
    published,
    token,
)
from tests.api.auth.key_servers import Served, key_server
from tests.api.auth.services import LEEWAY_SECS

INVALID = 'Bearer error="invalid_token"'


def refusal(response: httpx.Response) -> tuple[int, str, str | None]:
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    return response.status_code, response.json()["error"], response.headers.get("WWW-Authenticate")


def now() -> int:
    return int(time.time())


# -- who is let in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scope",
    [
        "analysis:run",
        "exam:write",
        "openid  exam:write profile",
        ["openid", "analysis:run"],
    ],
)
def test_any_one_of_the_scopes_suffices_as_text_or_as_list(service: httpx.Client, scope: Any) -> None:
    response = service.post("/update", headers=bearer(token(scope=scope)))
    assert (response.status_code, response.json()) == (200, "anna")


def test_a_token_for_several_audiences_without_a_subject_may_update(service: httpx.Client) -> None:
    given = token(aud=["another-api", AUDIENCE], sub=None)
    response = service.post("/update", headers=bearer(given))
    assert (response.status_code, response.json()) == (200, None)


def test_the_word_bearer_may_be_written_in_any_case(service: httpx.Client) -> None:
    response = service.post("/update", headers={"Authorization": f"bEARER  {token()}"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": -LEEWAY_SECS + 10},
        {"iat": LEEWAY_SECS - 10},
        {"nbf": LEEWAY_SECS - 10},
    ],
)
def test_an_issuers_clock_may_be_off_by_the_leeway(service: httpx.Client, changed: dict[str, float]) -> None:
    shifted: dict[str, Any] = {name: now() + int(offset) for name, offset in changed.items()}
    given = token(**shifted)
    assert service.post("/update", headers=bearer(given)).status_code == 200


@pytest.mark.parametrize(
    "scope", [None, "", "analysis:runner", "analysis:run,exam:write", "ANALYSIS:RUN", [], ["a b"], "\u2028"]
)
def test_without_one_of_the_scopes_it_is_403(service: httpx.Client, scope: Any) -> None:
    response = service.post("/update", headers=bearer(token(scope=scope)))
    assert refusal(response) == (
        403,
        "insufficient_scope",
        'Bearer error="insufficient_scope", scope="analysis:run exam:write"',
    )


# -- whose data a caller may read -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "scope", "status"),
    [
        ("anna", None, 200),
        ("anna", "exam:write", 200),
        ("ben", "reports:view", 200),
        ("ben", "analysis:run", 200),
        (None, "reports:view", 200),
        ("ben", "exam:write", 403),
        ("Anna", None, 403),
        (None, None, 403),
        ("", None, 403),
    ],
)
def test_a_learners_data_are_for_readers_and_the_learner(
    service: httpx.Client, subject: str | None, scope: str | None, status: int
) -> None:
    response = service.get("/learners/anna", headers=bearer(token(sub=subject, scope=scope)))
    assert response.status_code == status


def test_an_empty_subject_is_nobody() -> None:
    assert not Caller.from_claims({"sub": ""}).may_read("")


# -- the attack list --------------------------------------------------------------------------------


def with_hmac(content: bytes) -> bytes:
    """The classic: the public key, which everybody has, as the secret of HS256."""
    return hmac.new(public_pem().encode(), content, hashlib.sha256).digest()


def signed_by(name: str) -> Callable[[bytes], bytes]:
    algorithm = jwt.get_algorithm_by_name("RS256")
    return lambda content: algorithm.sign(content, private_key(name))


def unsigned(_content: bytes) -> bytes:
    return b""


def header(**changed: Any) -> dict[str, Any]:
    return {"alg": "RS256", "typ": "JWT", "kid": KEY_ID} | changed


ALGORITHM = "The token is not signed with RS256."
SIGNATURE = "The token's signature is wrong."
UNKNOWN = "The token is signed with a key that its issuer does not publish."
MALFORMED = "The token is malformed."
EARLY = "The token is not valid yet: its iat or nbf lies in the future."
ATTACKS: dict[str, tuple[Callable[[], str], str]] = {
    "alg none": (lambda: forged(header(alg="none"), claims(), unsigned), ALGORITHM),
    "alg nOnE": (lambda: forged(header(alg="nOnE"), claims(), unsigned), ALGORITHM),
    "alg missing": (lambda: forged({"kid": KEY_ID}, claims(), signed_by("trusted")), ALGORITHM),
    "alg a list": (lambda: forged(header(alg=["RS256"]), claims(), signed_by("trusted")), ALGORITHM),
    "HS256 with the public key": (lambda: forged(header(alg="HS256"), claims(), with_hmac), ALGORITHM),
    "RS512 of the right key": (
        lambda: jwt.encode(claims(), private_key("trusted"), "RS512", headers={"kid": KEY_ID}),
        ALGORITHM,
    ),
    "no signature": (lambda: forged(header(), claims(), unsigned), SIGNATURE),
    "HMAC named RS256": (lambda: forged(header(), claims(), with_hmac), SIGNATURE),
    "another key under the right kid": (lambda: token(key=FOREIGN), SIGNATURE),
    "claims changed": (
        lambda: ".".join(
            [token().split(".")[0], token(scope="exam:write").split(".")[1], token().split(".")[2]]
        ),
        SIGNATURE,
    ),
    "kid of another issuer": (lambda: token(key=FOREIGN, headers={"kid": "foreign-1"}), UNKNOWN),
    "kid of the file system": (lambda: token(headers={"kid": "../../../../dev/null"}), UNKNOWN),
    "kid of SQL": (lambda: token(headers={"kid": "x' UNION SELECT 'key' --"}), UNKNOWN),
    "kid an address": (lambda: token(headers={"kid": "http://127.0.0.1/jwks.json"}), UNKNOWN),
    "kid empty": (lambda: token(headers={"kid": ""}), UNKNOWN),
    "kid a surrogate": (lambda: token(headers={"kid": "\ud800"}), UNKNOWN),
    "kid missing": (
        lambda: jwt.encode(claims(), private_key("trusted"), "RS256"),
        "The token names no key: its header has no kid.",
    ),
    "kid a number": (lambda: forged(header(kid=1), claims(), signed_by("trusted")), MALFORMED),
    "kid a list": (lambda: forged(header(kid=[KEY_ID]), claims(), signed_by("trusted")), MALFORMED),
    "crit unknown": (lambda: token(headers={"crit": ["exp"], "exp": 1}), MALFORMED),
    "detached payload": (
        lambda: forged(header(b64=False, crit=["b64"]), b"", signed_by("trusted")),
        MALFORMED,
    ),
    "wrong audience": (lambda: token(aud="another-api"), "The token is for another audience."),
    "audience that begins alike": (
        lambda: token(aud=AUDIENCE + "-admin"),
        "The token is for another audience.",
    ),
    "audience an object": (lambda: token(aud={AUDIENCE: 1}), "The token is for another audience."),
    "wrong issuer": (lambda: token(iss="https://evil.example"), "The token is from another issuer."),
    "issuer with a slash": (lambda: token(iss=ISSUER + "/"), "The token is from another issuer."),
    "development issuer": (lambda: token(iss="seedtest-development"), "The token is from another issuer."),
    "issuer a list": (
        lambda: forged(header(), claims(iss=[ISSUER]), signed_by("trusted")),
        "The token is from another issuer.",
    ),
    "expired": (lambda: token(exp=now() - int(LEEWAY_SECS) - 1), "The token has expired."),
    "nbf in the future": (lambda: token(nbf=now() + int(LEEWAY_SECS) + 10), EARLY),
    "iat in the future": (lambda: token(iat=now() + int(LEEWAY_SECS) + 10), EARLY),
    "exp a word": (lambda: token(exp="never"), MALFORMED),
    "exp infinite": (lambda: forged(header(), claims(exp=float("inf")), signed_by("trusted")), MALFORMED),
    "exp missing": (lambda: token(exp=None), "The token has no claim exp."),
    "iat missing": (lambda: token(iat=None), "The token has no claim iat."),
    "aud missing": (lambda: token(aud=None), "The token has no claim aud."),
    "iss missing": (lambda: token(iss=None), "The token has no claim iss."),
    "sub a number": (lambda: token(sub=5), MALFORMED),
    "sub a surrogate": (lambda: token(sub="\ud800"), "The token's sub is not a text."),
    "scope a number": (lambda: token(scope=1), "The token's scope is neither a text nor a list of texts."),
    "scope an object": (
        lambda: token(scope={"analysis:run": True}),
        "The token's scope is neither a text nor a list of texts.",
    ),
    "scope of numbers": (
        lambda: token(scope=["analysis:run", 1]),
        "The token's scope is neither a text nor a list of texts.",
    ),
    "claims a list": (lambda: forged(header(), ["analysis:run"], signed_by("trusted")), MALFORMED),
    "claims nested deeply": (lambda: forged(header(), b"[" * 5000, signed_by("trusted")), MALFORMED),
    "header nested deeply": (lambda: forged(b"[" * 5000, claims(), signed_by("trusted")), MALFORMED),
    "header no object": (lambda: forged("RS256", claims(), signed_by("trusted")), MALFORMED),
    "two segments": (lambda: token().rpartition(".")[0], MALFORMED),
    "five segments": (lambda: token() + ".e30.e30", MALFORMED),
    "not base64": (lambda: "a?b.c!d.e", MALFORMED),
    "dots": (lambda: "..", MALFORMED),
    "a word": (lambda: "x", MALFORMED),
    "two words": (lambda: f"{token()} {token()}", MALFORMED),
    "huge": (
        lambda: token(padding="x" * MAX_TOKEN_CHARS),
        f"The token is longer than {MAX_TOKEN_CHARS} characters.",
    ),
    "huge and nothing else": (
        lambda: "A" * 50_000,
        f"The token is longer than {MAX_TOKEN_CHARS} characters.",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forged_token_is_401_and_says_why(service: httpx.Client, attack: str) -> None:
    forge, why = ATTACKS[attack]
    response = service.post("/update", headers=bearer(forge()))
    assert refusal(response) == (401, why, INVALID)


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
def test_keys_that_a_token_brings_along_are_not_looked_at(
    service: httpx.Client, steady: Served, name: str
) -> None:
    with key_server(key_set(published(KEY_ID, FOREIGN))) as evil:
        brought = {
            "jku": evil.url,
            "x5u": evil.url,
            "jwk": published(KEY_ID, FOREIGN),
            "x5c": [public_pem(FOREIGN)],
        }
        given = token(key=FOREIGN, headers={name: brought[name]})
        assert refusal(service.post("/update", headers=bearer(given))) == (401, SIGNATURE, INVALID)
        assert evil.fetches == 0
    assert steady.fetches > 0


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}])
def test_without_credentials_it_is_missing_authorization(
    service: httpx.Client, headers: dict[str, str]
) -> None:
    response = service.post("/update", headers=headers)
    assert refusal(response) == (401, "Missing Authorization", "Bearer")


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "x", "Bearer\ttoken"])
def test_other_credentials_than_a_bearer_token_are_refused(service: httpx.Client, value: str) -> None:
    response = service.post("/update", headers={"Authorization": value})
    why = "Authorization must be one header of the form: Bearer <token>."
    assert refusal(response) == (401, why, "Bearer")


def test_of_two_authorization_headers_neither_is_chosen(service: httpx.Client) -> None:
    pairs = [("Authorization", f"Bearer {token()}"), ("Authorization", f"Bearer {token(sub='ben')}")]
    assert service.post("/update", headers=pairs).status_code == 401


def test_no_refusal_quotes_the_token(service: httpx.Client) -> None:
    for forge, _ in ATTACKS.values():
        given = forge()
        answer = service.post("/update", headers=bearer(given)).text
        pieces = [piece for piece in re.split(r"[. ]", given) if len(piece) > 10]
        assert not any(piece in answer for piece in pieces)
