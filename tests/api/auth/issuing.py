"""Issuers of tokens, honest and not."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://issuer.example"
AUDIENCE = "seedtest-api"
KEY_ID = "key-1"


@cache
def _made(_name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def private_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key of a name, the same in all tests of a process."""
    return _made(name, bits)


TRUSTED = "trusted"
FOREIGN = "foreign"


def public_pem(name: str = TRUSTED) -> str:
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key(name).public_key().public_bytes(serialization.Encoding.PEM, info).decode()


def published(key_id: str, name: str = TRUSTED, *, bits: int = 2048, **members: Any) -> dict[str, Any]:
    """A key as a member of a key set."""
    found = RSAAlgorithm.to_jwk(private_key(name, bits).public_key(), as_dict=True)
    return {**found, "kid": key_id, "use": "sig", "alg": "RS256"} | members


def key_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims, with some changed; one that is None is left out."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 600,
        "sub": "anna",
        "scope": "analysis:run",
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def token(*, key: str = TRUSTED, headers: Mapping[str, Any] | None = None, **changed: Any) -> str:
    """A token of the trusted issuer unless something is changed."""
    return jwt.encode(
        claims(**changed), private_key(key), "RS256", headers={"kid": KEY_ID, **(headers or {})}
    )


def segment(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def forged(header: object, payload: object, signed: Callable[[bytes], bytes]) -> str:
    """A token put together by hand, as no library would."""
    content = f"{segment(header)}.{segment(payload)}"
    return f"{content}.{segment(signed(content.encode()))}"


def bearer(of: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {of}"}
