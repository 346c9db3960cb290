"""The refusals of callers, as RFC 6750 (2012) words their headers."""

from collections.abc import Iterable
from typing import Final

from seedtest.errors import RequestError

CHALLENGE: Final = "WWW-Authenticate"


def missing() -> RequestError:
    """Return the refusal of a request without credentials."""
    return RequestError("Missing Authorization", status=401, headers={CHALLENGE: "Bearer"})


def not_bearer() -> RequestError:
    """Return the refusal of an Authorization header that is not one bearer token."""
    return RequestError(
        "Authorization must be one header of the form: Bearer <token>.",
        status=401,
        headers={CHALLENGE: "Bearer"},
    )


def invalid_token(why: str) -> RequestError:
    """Return the refusal of a token; `why` quotes nothing of it."""
    return RequestError(why, status=401, headers={CHALLENGE: 'Bearer error="invalid_token"'})


def invalid_signature(why: str) -> RequestError:
    """Return the refusal of a webhook's signature."""
    return RequestError(why, status=401, headers={CHALLENGE: "Bearer"})


def insufficient_scope(needed: Iterable[str]) -> RequestError:
    """Return the refusal of a caller whose token has none of the scopes needed."""
    scopes = " ".join(sorted(needed))
    challenge = f'Bearer error="insufficient_scope", scope="{scopes}"'
    return RequestError("insufficient_scope", status=403, headers={CHALLENGE: challenge})


def keys_unavailable(retry_secs: float) -> RequestError:
    """Return the refusal while the token's key is not known and the key server cannot say."""
    return RequestError(
        "The token cannot be checked: its key is not known, and the key server cannot be reached. Try again.",
        status=503,
        headers={"Retry-After": f"{max(1, round(retry_secs))}"},
    )
