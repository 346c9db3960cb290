"""Signatures of webhooks: HMAC-SHA256 over time and body, the same for who sends and who checks.

::

    X-Seedtest-Timestamp: 1767225600
    X-Seedtest-Signature: v1=<hex of HMAC-SHA256(secret, timestamp + "." + body)>
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from pydantic import SecretStr

from seedtest.errors import ConfigurationError

TIMESTAMP_HEADER: Final = "X-Seedtest-Timestamp"
SIGNATURE_HEADER: Final = "X-Seedtest-Signature"
VERSION: Final = "v1"
MOST_SECRETS: Final = 2

_DIGEST = re.compile(rf"{VERSION}=([0-9a-fA-F]{{64}})")


def webhook_secrets(setting: SecretStr | None) -> tuple[str, ...]:
    """Return the secrets of WEBHOOK_SECRET; who sends signs with the first.

    Raises
    ------
    ConfigurationError
        It holds none although it is set, or more than two.
    """
    if setting is None:
        return ()
    secrets = tuple(part.strip() for part in setting.get_secret_value().split(",") if part.strip())
    if not 1 <= len(secrets) <= MOST_SECRETS:
        raise ConfigurationError(
            f"WEBHOOK_SECRET holds {len(secrets)} secrets; one is needed, or two split by a comma."
        )
    return secrets


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return the signature header's value for a body sent at a time in Unix seconds."""
    return f"{VERSION}={_digest(secret, timestamp, body)}"


def signed_headers(secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the two headers of a signed webhook."""
    return {TIMESTAMP_HEADER: str(timestamp), SIGNATURE_HEADER: sign(secret, timestamp, body)}


def digests(header: str) -> tuple[str, ...]:
    """Return the digests that a signature header lists, those of other versions left out."""
    found = (_DIGEST.fullmatch(part.strip()) for part in header.split(","))
    return tuple(match[1].lower() for match in found if match)


def is_signed(secrets: Sequence[str], timestamp: int, body: bytes, given: Sequence[str]) -> bool:
    """Whether one of the digests is one of the secrets'; wrong ones take the same time."""
    expected = [_digest(secret, timestamp, body) for secret in secrets]
    return any(hmac.compare_digest(one, other) for one in expected for other in given)


def _digest(secret: str, timestamp: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
