"""Public keys of tokens as they are published: a key set (RFC 7517), or one key as PEM."""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK, PyJWTError

from seedtest.errors import ConfigurationError, DataError

logger = logging.getLogger(__name__)

ALGORITHM: Final = "RS256"
# Weaker keys can be factored; checking a longer one costs so much that it would slow every request.
LEAST_BITS, MOST_BITS = 2048, 8192
MOST_KEYS: Final = 100

PublicKeys: TypeAlias = Mapping[str, RSAPublicKey]


def read_key_set(document: bytes) -> PublicKeys:
    """Return the keys of a key set that may sign tokens, by their ids.

    Keys of other kinds and uses are left out, and so is what is no key. A set without a usable key is one all
    the same: its issuer has withdrawn them.

    Raises
    ------
    DataError
        The document is no key set.
    """
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        raise DataError("The key set is not JSON.") from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise DataError("The key set has no list `keys`.")
    if len(entries) > MOST_KEYS:
        raise DataError(f"The key set has {len(entries)} keys; {MOST_KEYS} are allowed.")
    keys: dict[str, RSAPublicKey] = {}
    for entry in entries:
        if isinstance(entry, dict) and _is_for_tokens(entry) and (key := _public_key(entry)):
            keys.setdefault(entry["kid"], key)
    if len(keys) < len(entries):
        logger.info("Of %d keys in the key set %d can be used for %s", len(entries), len(keys), ALGORITHM)
    return keys


def read_pem(pem: str) -> RSAPublicKey:
    """Return a public key from its PEM text; its line ends may be spelled as a backslash and an n.

    Raises
    ------
    ConfigurationError
        It is no public RSA key, or one of the wrong size.
    """
    try:
        key = load_pem_public_key(pem.replace(r"\n", "\n").encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ConfigurationError(
            "JWT_PUBLIC_KEY is no RSA public key. Give it as PEM: -----BEGIN PUBLIC KEY----- …"
        )
    if not _has_good_size(key):
        raise ConfigurationError(
            f"JWT_PUBLIC_KEY has {key.key_size} bits; {LEAST_BITS} to {MOST_BITS} are allowed."
        )
    return key


def _is_for_tokens(entry: Mapping[str, Any]) -> bool:
    """Whether a key is meant to check tokens."""
    texts = (entry.get("kid"), entry.get("n"), entry.get("e"))
    return (
        entry.get("kty") == "RSA"
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", ALGORITHM) == ALGORITHM
        and all(isinstance(text, str) and text for text in texts)
    )


def _public_key(entry: dict[str, Any]) -> RSAPublicKey | None:
    try:
        key = PyJWK(entry, ALGORITHM).key
    except PyJWTError:
        return None
    # A private key in a key set is everybody's.
    return key if isinstance(key, RSAPublicKey) and _has_good_size(key) else None


def _has_good_size(key: RSAPublicKey) -> bool:
    return LEAST_BITS <= key.key_size <= MOST_BITS
