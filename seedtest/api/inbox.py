"""Webhooks that come together are committed together, and none is answered before its commit.

A commit waits for the disk, whoever asks for it. One thread that commits what has gathered meanwhile
accepts more a second than a thread and a transaction for each, and leaves the other connections to the
other requests.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, IntegrityError, InternalError

from seedtest.api.database import RETRY_AFTER, Database
from seedtest.errors import RequestError
from seedtest.theta_queue import Accepted, RequestStatus, SessionCompleted, accept

MOST_IN_ONE: Final = 200
MOST_WAITING: Final = 5_000
# What one report among others can break; anything else concerns them all.
ONE_REPORTS_FAULT: Final = (DataError, IntegrityError, InternalError)

Outcome = Accepted | RequestError


@dataclass(frozen=True)
class _Waiting:
    """A report whose sender waits for its commit."""

    completed: SessionCompleted
    outcome: "asyncio.Future[Accepted]"


class Inbox:
    """Takes reports of sessions; `committed` is called after a commit that made one wait for a drain."""

    def __init__(self, database: Database, committed: Callable[[], None]) -> None:
        self._database, self._committed = database, committed
        self._waiting: deque[_Waiting] = deque()
        self._came = asyncio.Event()

    async def accept(self, completed: SessionCompleted) -> Accepted:
        """Return once the report is committed.

        Raises
        ------
        RequestError
            503 when the database is away or too many wait; what `theta_queue.accept` raises.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise RequestError("Too many webhooks wait; try again.", status=503, headers=RETRY_AFTER)
        outcome: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(completed, outcome))
        self._came.set()
        return await outcome

    async def work(self) -> None:
        """Commit what comes, until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                # In one order in every process: two that hold each other's sessions would wait for ever.
                n = min(len(self._waiting), MOST_IN_ONE)
                together = sorted(
                    (self._waiting.popleft() for _ in range(n)), key=lambda one: one.completed.session_id
                )
                await self._commit(together)

    async def _commit(self, together: Sequence[_Waiting]) -> None:
        def work(connection: Connection) -> list[Outcome]:
            return [_accepted(connection, one.completed) for one in together]

        try:
            outcomes = await self._database.run(work)
        except Exception as error:  # noqa: BLE001 (it is raised again in every request that waits for it)
            if len(together) > 1 and isinstance(error, ONE_REPORTS_FAULT):
                for one in together:
                    await self._commit([one])
            else:
                _tell(together, [error] * len(together))
            return
        _tell(together, outcomes)
        if any(
            isinstance(outcome, Accepted) and outcome.request.status is RequestStatus.PENDING
            for outcome in outcomes
        ):
            self._committed()


def _accepted(connection: Connection, completed: SessionCompleted) -> Outcome:
    """Accept a report; one that is refused leaves the others of its transaction alone."""
    try:
        return accept(connection, completed)
    except RequestError as refusal:
        return refusal


def _tell(together: Sequence[_Waiting], outcomes: Sequence[Accepted | Exception]) -> None:
    for one, outcome in zip(together, outcomes, strict=True):
        if one.outcome.done():
            continue
        if isinstance(outcome, Exception):
            one.outcome.set_exception(outcome)
        else:
            one.outcome.set_result(outcome)
