"""How many requests of one caller are served, counted in the memory of the process."""

import math
import time
from typing import Self

import limits
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from seedtest.api.auth.caller import Caller
from seedtest.errors import ConfigurationError, RequestError
from seedtest.settings import Settings


class CallerLimit:
    """A rate that each caller has to itself; each process counts alone.

    A sliding window of two counters: a caller that has used up its minute is let in again bit by bit.
    """

    def __init__(self, rate: limits.RateLimitItem, name: str) -> None:
        self._rate, self._name = rate, name
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def admit(self, caller: Caller) -> None:
        """Count a request, or raise 429; who has no subject shares a count with those like them."""
        key = "platform" if caller.subject is None else f"subject {caller.subject}"
        if not await self._limiter.hit(self._rate, key):
            stats = await self._limiter.get_window_stats(self._rate, key)
            wait_secs = max(1, math.ceil(stats.reset_time - time.time()))
            raise RequestError(
                f"More than {self._rate} for one caller; {self._name} sets the limit.",
                status=429,
                headers={"Retry-After": str(wait_secs)},
            )


class Limits:
    """The limits of the θ API: webhooks have one of their own."""

    def __init__(self, requests: CallerLimit, webhooks: CallerLimit) -> None:
        self.requests, self.webhooks = requests, webhooks

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return what API_RATE_LIMIT and API_WEBHOOK_RATE_LIMIT say."""
        return cls(
            _limit("API_RATE_LIMIT", settings.api_rate_limit),
            _limit("API_WEBHOOK_RATE_LIMIT", settings.api_webhook_rate_limit),
        )


def _limit(name: str, rate: str) -> CallerLimit:
    try:
        return CallerLimit(limits.parse(rate), name)
    except ValueError:
        raise ConfigurationError(f"{name} is no rate; write it as 12000/minute or 200/second.") from None
