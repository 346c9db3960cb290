"""Webhooks: let in by a token or by a signature; what is given must hold, be it one or both."""

import re
import time
from dataclasses import dataclass
from typing import Annotated, Final, Self

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyHeader

from seedtest.api.auth.caller import UPDATERS, Caller
from seedtest.api.auth.challenges import invalid_signature, missing
from seedtest.api.auth.signatures import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    digests,
    is_signed,
    webhook_secrets,
)
from seedtest.api.auth.tokens import JwtVerifier, Scheme
from seedtest.api.bodies import BodyLimits, read_pieces
from seedtest.settings import Settings

PLATFORM: Final = Caller(subject=None, scopes=frozenset())
# Without leading zeros: the signature covers the number as it is written.
_UNIX_SECONDS = re.compile(r"[1-9][0-9]{0,11}")

SignatureScheme = Annotated[
    str | None,
    Depends(
        APIKeyHeader(
            name=SIGNATURE_HEADER,
            auto_error=False,
            scheme_name="webhookSignature",
            description="`v1=` and the hex digits of HMAC-SHA256(secret, timestamp + '.' + body), with the "
            f"timestamp of {TIMESTAMP_HEADER}; several split by commas while a secret is rotated",
        )
    ),
]
TimestampHeader = Annotated[
    str | None, Header(alias=TIMESTAMP_HEADER, description="Unix seconds; needed beside a signature")
]


@dataclass(frozen=True)
class SignatureConfig:
    """Which signatures are good."""

    secrets: tuple[str, ...]
    tolerance_secs: float

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return what the settings say; raise ConfigurationError for secrets that cannot be used."""
        return cls(webhook_secrets(settings.webhook_secret), settings.webhook_tolerance_secs)


@dataclass(frozen=True)
class ReceivedWebhook:
    """A webhook from a caller who may send it: the body as it was signed, unpacked."""

    caller: Caller
    body: bytes


@dataclass(frozen=True)
class _Claim:
    """What the headers say of the signature."""

    timestamp: int
    digests: tuple[str, ...]


class WebhookVerifier:
    """Knows the senders of webhooks; a FastAPI dependency that gives the `ReceivedWebhook`.

    A repeated webhook is let in again: its session's id makes it harmless, and replicas share no memory.
    """

    def __init__(self, config: SignatureConfig, tokens: JwtVerifier, limits: BodyLimits) -> None:
        self._config, self._tokens, self._limits = config, tokens, limits

    async def __call__(
        self,
        request: Request,
        _scheme: Scheme,
        _signature: SignatureScheme,
        _timestamp: TimestampHeader = None,
    ) -> ReceivedWebhook:
        """Return who sends what, or raise 401, 403 or 503, or what is wrong with the body."""
        authorization = request.headers.getlist("authorization")
        signatures = request.headers.getlist(SIGNATURE_HEADER)
        if not any(authorization) and not signatures:
            raise missing()
        caller = PLATFORM
        if any(authorization):
            caller = await self._tokens.identify(authorization)
            caller.require_any(UPDATERS)
        # Nothing is read of a sender whose headers are wrong already.
        claim = self._claim(request, signatures) if signatures else None
        body = b"".join([piece async for piece in read_pieces(request, self._limits)])
        if claim and not is_signed(self._config.secrets, claim.timestamp, body, claim.digests):
            raise invalid_signature("The webhook's signature does not match its body and timestamp.")
        return ReceivedWebhook(caller, body)

    def _claim(self, request: Request, signatures: list[str]) -> _Claim:
        if not self._config.secrets:
            raise invalid_signature("Signatures are not accepted here: no secret is configured.")
        given = digests(",".join(signatures))
        if not given:
            raise invalid_signature(f"{SIGNATURE_HEADER} must be v1=<64 hex digits>, or several with commas.")
        times = request.headers.getlist(TIMESTAMP_HEADER)
        if len(times) != 1 or not _UNIX_SECONDS.fullmatch(times[0]):
            raise invalid_signature(f"{TIMESTAMP_HEADER} must be one number of Unix seconds.")
        if abs(time.time() - int(times[0])) > self._config.tolerance_secs:
            raise invalid_signature(
                f"The webhook's timestamp is more than {self._config.tolerance_secs:g} s from the time here."
            )
        return _Claim(int(times[0]), given)
