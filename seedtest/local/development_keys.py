"""The key that signs development tokens, made once in the embedded stack's folder.

Elsewhere its tokens are refused by two things: their issuer is not JWT_ISS there, and the key is unknown.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder, make_writable_folder
from seedtest.local.private_files import new_private_file, write_once

DEVELOPMENT_ISSUER: Final = "seedtest-development"
_ALGORITHM: Final = "RS256"
_BITS: Final = 2048


@dataclass(frozen=True)
class DevelopmentKey:
    """A private key and what is published of it."""

    private_key: rsa.RSAPrivateKey

    @cached_property
    def public_pem(self) -> str:
        """What JWT_PUBLIC_KEY holds on the embedded stack."""
        return (
            self.private_key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    @cached_property
    def key_id(self) -> str:
        """A short name of the key, the same each time."""
        return hashlib.sha256(self.public_pem.encode()).hexdigest()[:16]

    @property
    def key_set(self) -> dict[str, Any]:
        """The public key as a key set (RFC 7517)."""
        published = RSAAlgorithm.to_jwk(self.private_key.public_key(), as_dict=True)
        return {"keys": [published | {"kid": self.key_id, "use": "sig", "alg": _ALGORITHM}]}

    def token(self, subject: str, scopes: Sequence[str], lifetime: dt.timedelta, *, audience: str) -> str:
        """Return a token of the development issuer."""
        now = dt.datetime.now(dt.UTC)
        claims = {
            "iss": DEVELOPMENT_ISSUER,
            "aud": audience,
            "sub": subject,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + lifetime,
        }
        return jwt.encode(claims, self.private_key, _ALGORITHM, headers={"kid": self.key_id})


def private_key_file(home: Path) -> Path:
    """Return where a stack's private key lies; its key set lies beside it."""
    return home / "keys" / "development.pem"


def key_set_file(home: Path) -> Path:
    """Return where a stack's public key set lies."""
    return home / "keys" / "jwks.json"


def development_key(home: Path) -> DevelopmentKey:
    """Return the key of the stack in `home`, made if there is none yet.

    Raises
    ------
    StackError
        The folder cannot be written, or the key in it cannot be read.
    """
    path = private_key_file(home)
    if not path.exists():
        StackFolder(home).create()
        make_writable_folder(path.parent, mode=0o700)
        write_once(path, _new_private_pem())
    key = DevelopmentKey(_read_private_key(path))
    _publish(key, key_set_file(home))
    return key


def _publish(key: DevelopmentKey, path: Path) -> None:
    """Write the key set of a key unless it is there: the key may have been made anew."""
    content = json.dumps(key.key_set, indent=2).encode()
    if not path.exists() or path.read_bytes() != content:
        new_private_file(path.parent, content).replace(path)


def _new_private_pem() -> bytes:
    return rsa.generate_private_key(public_exponent=65537, key_size=_BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_private_key(path: Path) -> rsa.RSAPrivateKey:
    remedy = "Delete it to have a new one made; tokens signed with the old one are refused then."
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise StackError(f"The development key {path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise StackError(f"The development key {path} is no private RSA key. {remedy}")
    return key
