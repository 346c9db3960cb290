"""Where the keys of tokens come from: a key server, or the settings."""

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import Final, Protocol

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from seedtest.api.auth.challenges import invalid_token, keys_unavailable
from seedtest.api.auth.keys import PublicKeys, read_key_set
from seedtest.api.auth.metrics import AuthMetrics, Refresh
from seedtest.errors import ConfigurationError, DataError

logger = logging.getLogger(__name__)

MAX_KEY_SET_BYTES: Final = 256_000
# A fetch begins in the background once the set's life is nearly over, so that no request waits for it.
NEARLY_OVER: Final = 0.8


class KeySource(Protocol):
    """Knows public keys by their ids."""

    async def find(self, key_id: str | None) -> RSAPublicKey | None:
        """Return the key that a token names; None when there is none of that id."""

    async def fault(self) -> str | None:
        """Return why no token can be checked at present; None when tokens can."""


@dataclass(frozen=True)
class OneKey:
    """The key of the settings, whatever id a token names."""

    key: RSAPublicKey

    async def find(self, key_id: str | None) -> RSAPublicKey | None:
        """Return the key."""
        return self.key

    async def fault(self) -> str | None:
        """Return None: the key is there."""
        return None


@dataclass(frozen=True)
class KeyServer:
    """Where a key set is, and for how long it is believed.

    For `fresh_secs` a set counts as the server's answer. While the server cannot be reached, its last set
    serves for `stale_secs` more. Between two fetches lie at least `refetch_secs`, however many unknown ids
    are asked for.
    """

    url: str
    fresh_secs: float
    stale_secs: float = 3600.0
    refetch_secs: float = 5.0
    timeout_secs: float = 3.0

    def __post_init__(self) -> None:
        """Refuse an address that cannot be one, or that would show a password in logs."""
        try:
            parsed = httpx.URL(self.url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo:
            raise ConfigurationError(
                "JWKS_URL is no address of a key set; give it as https://host/path, without a password."
            )


class ServedKeys:
    """The keys of a key server, kept up to date by need; for one event loop."""

    def __init__(self, server: KeyServer, metrics: AuthMetrics) -> None:
        self._server, self._metrics = server, metrics
        # Made once: reading the certificates takes longer than a fetch.
        self._tls = httpx.create_ssl_context()
        self._keys: PublicKeys = {}
        self._fetched_at = self._tried_at = -math.inf
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> RSAPublicKey | None:
        """Return the key of an id; None when the server has none of it.

        Raises
        ------
        RequestError
            401 when no id is given; 503 when the key is not known and the server cannot be reached.
        """
        if key_id is None:
            raise invalid_token("The token names no key: its header has no kid.")
        await self._freshen(needed=key_id not in self._believed())
        key = self._believed().get(key_id)
        if key is None and self._failed:
            raise keys_unavailable(self._server.refetch_secs)
        return key

    async def fault(self) -> str | None:
        """Return why no token can be checked at present; None when tokens can."""
        await self._freshen(needed=not self._believed())
        return "the key server cannot be reached" if self._failed and not self._believed() else None

    def _age_secs(self) -> float:
        return time.monotonic() - self._fetched_at

    def _believed(self) -> PublicKeys:
        return self._keys if self._age_secs() <= self._server.fresh_secs + self._server.stale_secs else {}

    async def _freshen(self, *, needed: bool) -> None:
        """Fetch the key set if it is time to; wait for it only where the old one will not do."""
        age_secs = self._age_secs()
        if not needed and age_secs < NEARLY_OVER * self._server.fresh_secs:
            return
        fetching = self._fetch_begun()
        # In an outage the first request waits, the others go on with the keys of before.
        wait = needed or (age_secs > self._server.fresh_secs and not self._failed)
        if fetching is not None and wait:
            # Others wait for the same fetch: it goes on when this request is given up.
            await asyncio.shield(fetching)

    def _fetch_begun(self) -> asyncio.Task[None] | None:
        """Return the fetch under way, begun now if enough time has passed since the last."""
        if self._fetching is None and time.monotonic() - self._tried_at >= self._server.refetch_secs:
            self._fetching = asyncio.create_task(self._refresh())
        return self._fetching

    async def _refresh(self) -> None:
        try:
            self._keys = read_key_set(await self._fetched())
        except (httpx.HTTPError, TimeoutError) as error:
            self._note(Refresh.UNREACHABLE, _reason(error))
        except DataError as error:
            self._note(Refresh.INVALID, str(error))
        else:
            self._fetched_at = time.monotonic()
            self._note(Refresh.OK, f"{len(self._keys)} keys")
        finally:
            self._tried_at = time.monotonic()
            self._fetching = None

    def _note(self, outcome: Refresh, detail: str) -> None:
        self._metrics.refreshed(outcome)
        self._failed = outcome is not Refresh.OK
        level = logging.WARNING if self._failed else logging.INFO
        logger.log(level, "Fetch of the tokens' key set: %s (%s)", outcome.value, detail)

    async def _fetched(self) -> bytes:
        """Return the key set's document: not packed, not from elsewhere, not too large, not too late."""
        limit_secs = self._server.timeout_secs
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        document = bytearray()
        async with (
            asyncio.timeout(limit_secs),
            httpx.AsyncClient(
                verify=self._tls, timeout=limit_secs, trust_env=False, follow_redirects=False
            ) as client,
            client.stream("GET", self._server.url, headers=headers) as response,
        ):
            response.raise_for_status()
            async for piece in response.aiter_raw():
                document += piece
                if len(document) > MAX_KEY_SET_BYTES:
                    raise DataError(f"The key set is larger than {MAX_KEY_SET_BYTES} bytes.")
        return bytes(document)


def _reason(error: Exception) -> str:
    """Name a failed fetch without its address, which may carry a password."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return type(error).__name__
