"""PostgreSQL from an event loop: so many threads, each with a connection of the pool."""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import sqlalchemy as sa
from psycopg2 import errors
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from seedtest.errors import RequestError

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

RETRY_AFTER: Final = {"Retry-After": "2"}


class Database:
    """Runs transactions in threads.

    Work that is queued when its request ends is dropped; work that has begun ends by itself, within the
    statement timeout of the engine.
    """

    def __init__(self, engine: Engine, n_threads: int, *, name: str) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix=name)

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """Run work in a transaction of its own.

        Raises
        ------
        RequestError
            503 when the database does not answer, 504 when a statement took too long.
        """
        context = contextvars.copy_context()
        running = self._threads.submit(context.run, self._transact, work)
        try:
            return await asyncio.wrap_future(running)
        except (OperationalError, InterfaceError, sa.exc.TimeoutError) as error:
            raise _refusal(error) from None

    def close(self) -> None:
        """Wait for work that has begun."""
        self._threads.shutdown(cancel_futures=True)

    def _transact(self, work: Callable[[Connection], Result]) -> Result:
        with self._engine.begin() as connection:
            return work(connection)


def _refusal(error: OperationalError | InterfaceError | sa.exc.TimeoutError) -> RequestError:
    """Return what a caller is told of a database that is away or slow."""
    if isinstance(error, sa.exc.TimeoutError):
        logger.warning("No connection to the database became free in time")
        return RequestError("The service is busy; try again.", status=503, headers=RETRY_AFTER)
    kind, sqlstate = type(error.orig).__name__, getattr(error.orig, "pgcode", None)
    logger.warning("The database failed a request: %s, SQLSTATE %s", kind, sqlstate)
    if isinstance(error.orig, errors.QueryCanceled):
        return RequestError("The database took too long; try again.", status=504, headers=RETRY_AFTER)
    return RequestError("The database does not answer; try again.", status=503, headers=RETRY_AFTER)
