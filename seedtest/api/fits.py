"""Fits in threads: so many at a time, and stopped when nobody waits for them any more."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request

from seedtest.api.metrics import IrtMetrics
from seedtest.errors import RequestError
from seedtest.irt.em import Progress

Result = TypeVar("Result")

RETRY_AFTER_SECS: Final = 30


class AbandonedError(Exception):
    """Ends a fit from within: its client has left."""


class FitRoom:
    """Admits calibrations up to a number, and runs some of them at a time.

    Beyond that a calibration is refused before its body is read: what has been admitted bounds the memory.
    """

    def __init__(self, max_calibrations: int, max_fits: int, metrics: IrtMetrics) -> None:
        self._max, self._n = max_calibrations, 0
        self._limiter = anyio.CapacityLimiter(max_fits)
        self._metrics = metrics

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place, or raise 503 where all are taken."""
        if self._n >= self._max:
            raise RequestError(
                f"{self._n} calibrations are being received or fitted; try again later.",
                status=503,
                headers={"Retry-After": str(RETRY_AFTER_SECS), "Connection": "close"},
            )
        self._n += 1
        self._metrics.calibrations.set(self._n)
        try:
            yield
        finally:
            self._n -= 1
            self._metrics.calibrations.set(self._n)

    async def run(self, request: Request, work: Callable[[Progress], Result]) -> Result:
        """Run work(progress) in a thread; its body must have been read.

        Raises
        ------
        ClientDisconnect
            When the client left first; the work ended at its next progress, or never began.
        """
        gone = threading.Event()

        def progress(_iteration: int, _loglik: float, _change: float) -> None:
            if gone.is_set():
                raise AbandonedError

        working = asyncio.ensure_future(anyio.to_thread.run_sync(work, progress, limiter=self._limiter))
        leaving = asyncio.ensure_future(_leaves(request))
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise ClientDisconnect
        finally:
            gone.set()
            leaving.cancel()
            working.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)


async def _leaves(request: Request) -> None:
    """Return when the client has left; nothing else can come after a body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
