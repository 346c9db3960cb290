"""Whether the θ API can do its work: the database, Prefect's server, the tokens' keys."""

import asyncio
import logging
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, Field
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from seedtest.api.auth.tokens import JwtVerifier
from seedtest.db.revision import require_schema
from seedtest.errors import ConfigurationError
from seedtest.prefect_client.http import PrefectHttp
from seedtest.say import silent

logger = logging.getLogger(__name__)

PATIENCE_SECS: Final = 2.0
# Probes of several kinds come every few seconds; they share an answer.
FRESH_SECS: Final = 2.0


class Verdict(StrEnum):
    """What a probe is told."""

    READY = "ready"
    DEGRADED = "degraded"
    UNREADY = "unready"


class Check(BaseModel):
    """A part that the service needs."""

    ok: bool
    detail: str | None = Field(None, description="What is wrong with it")


class Checks(BaseModel):
    """All parts that the service needs."""

    database: Check
    prefect: Check
    key_set: Check


class Ready(BaseModel):
    """Whether requests should come here; degraded: they should, and θ comes later than usual."""

    status: Verdict
    checks: Checks


class Readiness:
    """Looks at what the service needs, at most every two seconds.

    Without the database or the tokens' keys nothing can be served. Without Prefect only the runs after
    webhooks are late: what is accepted is kept, and the sweep finds it.
    """

    def __init__(
        self, engine: Engine, prefect_api_url: str, tokens: JwtVerifier, *, accepts_tokens: bool
    ) -> None:
        self._engine, self._tokens, self._accepts_tokens = engine, tokens, accepts_tokens
        self._prefect = PrefectHttp(prefect_api_url, patience_secs=0, say=silent)
        self._looking = asyncio.Lock()
        self._seen: Ready | None = None
        self._seen_at = 0.0

    async def look(self) -> Ready:
        """Return how things stand, seen now or a moment ago."""
        async with self._looking:
            if self._seen is None or time.monotonic() - self._seen_at > FRESH_SECS:
                self._seen = await self._look()
                self._seen_at = time.monotonic()
            return self._seen

    def close(self) -> None:
        """Close the connections to Prefect's server."""
        self._prefect.close()

    async def _look(self) -> Ready:
        database, prefect, key_set = await asyncio.gather(
            _in_time(self._database_fault), _in_time(self._prefect_fault), self._key_set_fault()
        )
        checks = Checks(database=_check(database), prefect=_check(prefect), key_set=_check(key_set))
        if not (checks.database.ok and checks.key_set.ok):
            return Ready(status=Verdict.UNREADY, checks=checks)
        return Ready(status=Verdict.READY if checks.prefect.ok else Verdict.DEGRADED, checks=checks)

    def _database_fault(self) -> str | None:
        try:
            require_schema(self._engine)
        except ConfigurationError as error:
            logger.warning("%s", error)
            return "its tables are not those of this version: run the migrations"
        except SQLAlchemyError as error:
            kind = error.orig if isinstance(error, DBAPIError) else error
            return f"does not answer ({type(kind).__name__})"
        return None

    def _prefect_fault(self) -> str | None:
        return None if self._prefect.is_healthy() else "does not answer; the sweep finds what waits for it"

    async def _key_set_fault(self) -> str | None:
        if not self._accepts_tokens:
            return "JWT_ISS, or both JWKS_URL and JWT_PUBLIC_KEY, are not set"
        return await self._tokens.fault()


async def _in_time(look: Callable[[], str | None]) -> str | None:
    """Look in a thread, and give up on it after a while; it ends by itself."""
    try:
        async with asyncio.timeout(PATIENCE_SECS):
            return await asyncio.to_thread(look)
    except TimeoutError:
        return f"does not answer within {PATIENCE_SECS:g} s"


def _check(fault: str | None) -> Check:
    return Check(ok=fault is None, detail=fault)
