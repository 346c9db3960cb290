"""What settings make of the checks, what the document says of them, and what logs keep to themselves."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr

from seedtest.api.auth.key_sources import KeyServer
from seedtest.api.auth.signatures import webhook_secrets
from seedtest.api.auth.tokens import JwtConfig
from seedtest.api.auth.webhooks import SignatureConfig
from seedtest.errors import ConfigurationError
from seedtest.settings import Settings
from tests.api.auth.issuing import FOREIGN, ISSUER, bearer, private_key, public_pem, token
from tests.api.auth.key_servers import Served
from tests.api.auth.services import SECRETS, create_app, jwt_config, running
from tests.api.auth.test_tokens import ATTACKS
from tests.api.auth.test_webhooks import signed

URL = "https://issuer.example/jwks.json"


def config(**given: Any) -> JwtConfig:
    return JwtConfig.from_settings(Settings(jwt_iss=ISSUER, **given))


def ask(client: httpx.Client, given: str) -> tuple[int, str]:
    response = client.post("/update", headers=bearer(given))
    return response.status_code, response.text


# -- settings ---------------------------------------------------------------------------------------


def test_the_settings_name_key_server_audience_and_leeway() -> None:
    found = config(jwks_url=URL, jwks_cache_secs=60)
    assert found == JwtConfig(ISSUER, "seedtest-api", 30.0, KeyServer(URL, fresh_secs=60), None)


@pytest.mark.parametrize("pem", [public_pem(), public_pem().replace("\n", r"\n"), f"\n{public_pem()}\n"])
def test_one_public_key_serves_without_a_key_server(pem: str) -> None:
    with running(create_app(config(jwt_public_key=pem))) as client:
        assert ask(client, token())[0] == 200
        assert ask(client, token(headers={"kid": "any"}))[0] == 200
        assert ask(client, token(key=FOREIGN))[0] == 401
        assert client.get("/readyz").json() is None
        forge, why = ATTACKS["HS256 with the public key"]
        assert ask(client, forge()) == (401, f'{{"error":"{why}"}}')


@pytest.mark.parametrize(
    "given",
    [JwtConfig(None, "seedtest-api", 30, None, private_key("trusted").public_key()), jwt_config(None)],
)
def test_without_issuer_or_key_all_tokens_are_refused(given: JwtConfig, core_log: list[str]) -> None:
    app = create_app(given)
    assert core_log == ["No token is accepted: JWT_ISS, or both JWKS_URL and JWT_PUBLIC_KEY, are not set"]
    with running(app) as client:
        assert ask(client, token())[0] == 401
        assert client.post("/webhook", headers=signed(body=b"")).status_code == 200


def private_pem() -> str:
    form = serialization.PrivateFormat.PKCS8
    return (
        private_key(FOREIGN)
        .private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        .decode()
    )


def short_pem() -> str:
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key("short", 1024).public_key().public_bytes(serialization.Encoding.PEM, info).decode()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"jwks_url": URL, "jwt_public_key": public_pem()}, "JWKS_URL and JWT_PUBLIC_KEY are both set"),
        ({"jwt_public_key": "key"}, "JWT_PUBLIC_KEY is no RSA public key"),
        ({"jwt_public_key": private_pem()}, "JWT_PUBLIC_KEY is no RSA public key"),
        ({"jwt_public_key": short_pem()}, "JWT_PUBLIC_KEY has 1024 bits"),
        ({"jwks_url": "issuer.example/jwks"}, "JWKS_URL is no address"),
        ({"jwks_url": "file:///etc/passwd"}, "JWKS_URL is no address"),
        ({"jwks_url": "https://"}, "JWKS_URL is no address"),
        ({"jwks_url": "http://[::1/jwks"}, "JWKS_URL is no address"),
        ({"jwks_url": "https://me:secret@issuer.example/jwks"}, "JWKS_URL is no address"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_at_the_start(given: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{why}") as raised:
        config(**given)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "secrets"),
    [(None, ()), ("one", ("one",)), ("new,old", ("new", "old")), (" new , old,", ("new", "old"))],
)
def test_two_secrets_are_split_by_a_comma(setting: str | None, secrets: tuple[str, ...]) -> None:
    given = SecretStr(setting) if setting else None
    found = SignatureConfig.from_settings(Settings(webhook_secret=given))
    assert found == SignatureConfig(secrets, tolerance_secs=300)


@pytest.mark.parametrize("setting", [",", "a,b,c"])
def test_no_secret_and_three_are_refused(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=r"WEBHOOK_SECRET holds [03] secrets"):
        webhook_secrets(SecretStr(setting))


# -- the document -----------------------------------------------------------------------------------


def test_the_document_says_who_may_call(service: httpx.Client) -> None:
    document = service.get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert (schemes["jwt"]["scheme"], schemes["jwt"]["bearerFormat"]) == ("bearer", "JWT")
    assert schemes["webhookSignature"]["name"] == "X-Seedtest-Signature"
    assert document["paths"]["/update"]["post"]["security"] == [{"jwt": []}]
    webhook = document["paths"]["/webhook"]["post"]
    assert webhook["security"] == [{"jwt": []}, {"webhookSignature": []}]
    assert [given["name"] for given in webhook["parameters"]] == ["X-Seedtest-Timestamp"]


# -- logs -------------------------------------------------------------------------------------------


class Records(logging.Handler):
    """Everything that is logged, with all that belongs to it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.__dict__}")


@pytest.fixture
def everything() -> Iterator[list[str]]:
    """All loggers' lines at debug level."""
    handler, root = Records(), logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


def test_no_token_secret_or_signature_is_logged_at_debug_level(served: Served, everything: list[str]) -> None:
    with running(create_app(jwt_config(KeyServer(served.url, 0.01, 0.01, 0.01)))) as client:
        tokens = [token(), token(sub="ben"), *(forge() for forge, _ in ATTACKS.values())]
        webhook = signed(SECRETS[1])
        for given in tokens:
            ask(client, given)
            client.get("/learners/anna", headers=bearer(given))
        client.post("/webhook", content=b"{}", headers=webhook)
        served.status = 500
        ask(client, token())
    logged = "\n".join(everything)
    assert "POST /update 200" in logged
    assert "status 500" in logged
    digest = webhook["X-Seedtest-Signature"].removeprefix("v1=")
    signatures = [given.rpartition(".")[2] for given in tokens]
    secret = [text for text in [*SECRETS, digest, *signatures] if len(text) > 3]
    assert not [text for text in secret if text in logged]
