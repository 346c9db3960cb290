"""Bearer JWTs: RS256 whatever the token says, from one issuer, for one audience (domain §7)."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from seedtest.api.auth.caller import Caller, Scope
from seedtest.api.auth.challenges import invalid_token, missing, not_bearer
from seedtest.api.auth.key_sources import KeyServer, KeySource, OneKey, ServedKeys
from seedtest.api.auth.keys import ALGORITHM, read_pem
from seedtest.api.auth.metrics import AuthMetrics
from seedtest.errors import ConfigurationError
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

MAX_TOKEN_CHARS: Final = 8192
REQUIRED_CLAIMS: Final = ("exp", "iat", "aud", "iss")
# The first kind that fits says it; what PyJWT says itself may quote the token.
WHYS: Final[tuple[tuple[type[jwt.PyJWTError], str], ...]] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet: its iat or nbf lies in the future."),
    (jwt.InvalidAudienceError, "The token is for another audience."),
    (jwt.InvalidIssuerError, "The token is from another issuer."),
    (jwt.InvalidAlgorithmError, f"The token is not signed with {ALGORITHM}."),
    (jwt.InvalidSignatureError, "The token's signature is wrong."),
)
Scheme = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(
        HTTPBearer(
            auto_error=False,
            scheme_name="jwt",
            bearerFormat="JWT",
            description="An RS256 token of the configured issuer with exp, iat, aud and iss; "
            "`scope` is a space-separated text or a list",
        )
    ),
]


@dataclass(frozen=True)
class JwtConfig:
    """Which tokens are good."""

    issuer: str | None
    audience: str
    leeway_secs: float
    key_server: KeyServer | None
    public_key: RSAPublicKey | None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return what the settings say.

        Raises
        ------
        ConfigurationError
            The key set's address or the public key cannot be used, or both are set.
        """
        url, pem = settings.jwks_url, settings.jwt_public_key
        if url and pem:
            raise ConfigurationError(
                "JWKS_URL and JWT_PUBLIC_KEY are both set; name one source of the tokens' keys."
            )
        return cls(
            issuer=settings.jwt_iss,
            audience=settings.jwt_aud,
            leeway_secs=settings.jwt_leeway_secs,
            key_server=KeyServer(url, settings.jwks_cache_secs) if url else None,
            public_key=read_pem(pem) if pem else None,
        )


class JwtVerifier:
    """Knows callers by their tokens; a FastAPI dependency that gives the `Caller`."""

    def __init__(self, config: JwtConfig, metrics: AuthMetrics) -> None:
        self._config = config
        self._keys: KeySource | None = None
        if config.key_server is not None:
            self._keys = ServedKeys(config.key_server, metrics)
        elif config.public_key is not None:
            self._keys = OneKey(config.public_key)
        if self._keys is None or config.issuer is None:
            logger.warning("No token is accepted: JWT_ISS, or both JWKS_URL and JWT_PUBLIC_KEY, are not set")

    async def __call__(self, request: Request, _scheme: Scheme) -> Caller:
        """Return who calls, or raise 401 or 503."""
        return await self.identify(request.headers.getlist("authorization"))

    async def identify(self, authorization: Sequence[str]) -> Caller:
        """Return whom the Authorization headers of a request name, or raise 401 or 503."""
        if not any(authorization):
            raise missing()
        scheme, _, token = authorization[0].partition(" ")
        if len(authorization) > 1 or scheme.lower() != "bearer" or not token.strip():
            raise not_bearer()
        return await self.verify(token.strip())

    async def verify(self, token: str) -> Caller:
        """Return whom a token names, or raise 401 or 503."""
        if len(token) > MAX_TOKEN_CHARS:
            raise invalid_token(f"The token is longer than {MAX_TOKEN_CHARS} characters.")
        if self._keys is None or self._config.issuer is None:
            raise invalid_token("The token is from an issuer that is not configured here.")
        try:
            # Before a key is looked for: what is no token must not cause a fetch.
            header = jwt.get_unverified_header(token)
            if header.get("alg") != ALGORITHM:
                raise jwt.InvalidAlgorithmError
            key = await self._keys.find(header.get("kid"))
            if key is None:
                raise invalid_token("The token is signed with a key that its issuer does not publish.")
            claims = self._claims(token, key, self._config.issuer)
        except jwt.PyJWTError as error:
            raise invalid_token(_why(error)) from None
        return Caller.from_claims(claims)

    async def fault(self) -> str | None:
        """Return why no token can be checked at present; None when tokens can."""
        return None if self._keys is None else await self._keys.fault()

    def _claims(self, token: str, key: RSAPublicKey, issuer: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=self._config.audience,
            issuer=issuer,
            leeway=self._config.leeway_secs,
            options={"require": list(REQUIRED_CLAIMS)},
        )


def require_scopes(verifier: JwtVerifier, *scopes: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    """Return a dependency that gives the caller if ANY of the scopes is theirs, and raises 403 if none is."""
    needed = frozenset(scopes)

    async def permitted(caller: Annotated[Caller, Depends(verifier)]) -> Caller:
        caller.require_any(needed)
        return caller

    return permitted


def _why(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"The token has no claim {error.claim}."
    return next((why for kind, why in WHYS if isinstance(error, kind)), "The token is malformed.")
