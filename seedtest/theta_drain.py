"""Working off the queue of `theta_queue`: batch by batch, each in one transaction with the θ it writes.

A process that is killed in the middle takes nothing with it: its transaction rolls back, and what it held is
pending as before. A learner whose θ cannot be computed never takes others with it: the batch is halved until
the learner stands alone, waits with the reason, and is parked after THETA_MAX_ATTEMPTS tries.
"""

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from seedtest.db.theta_requests import (
    RequestStatus,
    SessionRequest,
    Settlement,
    close_generation,
    settle,
    take,
)
from seedtest.errors import SeedtestError
from seedtest.failures import BAD_DATA_ERRORS
from seedtest.online import NoopReason, ThetaUpdate, update_thetas
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

# What one learner's data can raise; a database that is gone is told apart below.
LEARNERS_ERRORS = (SeedtestError, DBAPIError, *BAD_DATA_ERRORS)
# A reason is read in a table: an error may carry pages.
MOST_REASON_CHARACTERS = 500


@dataclass(frozen=True)
class Failure:
    """Why a learner's θ could not be computed."""

    reason: str


@dataclass(frozen=True)
class Parked:
    """A request that was given up, and why."""

    session_id: str
    user_id: str
    reason: str


@dataclass
class Drained:
    """What a drain did with the requests that it took."""

    outcomes: Counter[RequestStatus] = field(default_factory=Counter)
    parked: list[Parked] = field(default_factory=list)
    user_ids: set[str] = field(default_factory=set)
    batches: int = 0
    oldest_wait_secs: float = 0.0
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """Requests tried."""
        return self.outcomes.total()

    @property
    def learners(self) -> int:
        """Learners whose requests were tried, each counted once over all batches."""
        return len(self.user_ids)


def drain(engine: Engine, settings: Settings) -> Drained:
    """Close the generation, then work off whatever is due until nothing is, THETA_BATCH_SIZE at a time.

    Raises
    ------
    DBAPIError
        The database is gone; what was committed stands, the rest is pending.
    """
    begun, drained = time.monotonic(), Drained()
    with engine.begin() as connection:
        close_generation(connection)
    while _drain_batch(engine, settings, drained):
        logger.debug("%d requests so far", drained.requests)
    drained.seconds = round(time.monotonic() - begun, 3)
    if drained.parked:
        logger.warning("θ of %d sessions was given up, and they are parked", len(drained.parked))
    return drained


def _drain_batch(engine: Engine, settings: Settings, drained: Drained) -> bool:
    """Work off one batch; return whether there was anything to do."""
    with engine.begin() as connection:
        requests = take(connection, settings.theta_batch_size)
        if not requests:
            return False
        users = sorted({request.user_id for request in requests})
        results = _thetas(connection, users, settings)
        most_attempts = settings.theta_max_attempts
        settlements = [_settlement(one, results[one.user_id], most_attempts) for one in requests]
        settle(connection, settlements)
    _count(drained, requests, settlements)
    return True


def _thetas(
    connection: Connection, user_ids: Sequence[str], settings: Settings
) -> Mapping[str, ThetaUpdate | Failure]:
    """Update the θ of learners together or, where that fails, of ever smaller halves of them."""
    results: dict[str, ThetaUpdate | Failure] = {}
    batches = [user_ids]
    while batches:
        batch = batches.pop()
        try:
            with connection.begin_nested():
                updates = update_thetas(
                    connection, batch, settings=settings, lookback_days=settings.theta_lookback_days
                )
            results |= {update.user_id: update for update in updates}
        except LEARNERS_ERRORS as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            middle = len(batch) // 2
            if middle:
                batches += [batch[middle:], batch[:middle]]
            else:
                results[batch[0]] = Failure(_reason(error))
    return results


def _settlement(request: SessionRequest, result: ThetaUpdate | Failure, most_attempts: int) -> Settlement:
    """Return what a try's result means for a request."""
    if isinstance(result, ThetaUpdate) and result.reason is NoopReason.ENGINE_DOWN:
        result = Failure(result.reason)
    if isinstance(result, Failure):
        is_last = request.attempts + 1 >= most_attempts
        status = RequestStatus.PARKED if is_last else RequestStatus.PENDING
        return Settlement(request.session_id, status, result.reason)
    if result.status == "ok":
        return Settlement(request.session_id, RequestStatus.DONE, ability_as_of=result.as_of)
    return Settlement(request.session_id, RequestStatus.NOOP, result.reason)


def _reason(error: Exception) -> str:
    """Return an error as it is shown to an operator: a database's without the statement."""
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return f"{type(error).__name__}: {text}"[:MOST_REASON_CHARACTERS]


def _count(drained: Drained, requests: Sequence[SessionRequest], settlements: Sequence[Settlement]) -> None:
    now = dt.datetime.now(dt.UTC)
    waits_secs = [(now - request.requested_at).total_seconds() for request in requests]
    drained.oldest_wait_secs = max(drained.oldest_wait_secs, *waits_secs)
    drained.outcomes.update(settlement.status for settlement in settlements)
    user_ids = {request.session_id: request.user_id for request in requests}
    drained.parked += [
        Parked(one.session_id, user_ids[one.session_id], one.reason or "")
        for one in settlements
        if one.status is RequestStatus.PARKED
    ]
    drained.user_ids.update(user_ids.values())
    drained.batches += 1
