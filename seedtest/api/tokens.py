"""The bearer token of a service."""

import hmac
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from seedtest.errors import RequestError

Credentials = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="Needed where the service has a token configured")),
]


class BearerToken:
    """Lets in who gives the token; everybody where none is configured."""

    def __init__(self, token: SecretStr | None) -> None:
        self._expected = None if token is None else token.get_secret_value().encode()

    async def __call__(self, credentials: Credentials) -> None:
        """Raise unless the header gives the token."""
        if self._expected is None:
            return
        # A header's text is its bytes, read as Latin-1.
        given = b"" if credentials is None else credentials.credentials.encode("latin-1")
        if not hmac.compare_digest(given, self._expected):
            what = "The bearer token is wrong" if credentials else "Missing Authorization: Bearer <token>"
            raise RequestError(what, status=401, headers={"WWW-Authenticate": "Bearer"})
