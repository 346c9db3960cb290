"""Sessions that ask for a new θ: accepting them, looking them up, trying again what was given up.

A request is committed before it is acknowledged, and stays until a drain (`theta_drain`) has settled it:
`done` with the time of the newest answer that its θ used, `noop` with the reason, or `parked` with the reason
after THETA_MAX_ATTEMPTS tries.

- A session reported again while it waits is the same request. Once `done`, it opens again when it is
  reported as completed after the newest answer of its θ; a `noop` used no answer, so any report opens it.
  What is parked stays so until a person replays it: the cause has to be mended first.
- No wake-up is lost. Whoever commits a request asks afterwards for the run of the generation that is open
  then (`theta_trigger`), and a run closes the generation before it takes the first request. So either the
  request was there when the run looked, or it belongs to a later generation, which has a run of its own.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from seedtest.db import theta_requests
from seedtest.db.theta_requests import QueueState, RequestStatus, SessionRequest
from seedtest.errors import DataError, RequestError

__all__ = [
    "PARKED_EVENT",
    "QUEUE_RESOURCE",
    "Accepted",
    "QueueState",
    "RequestStatus",
    "SessionCompleted",
    "SessionRequest",
    "accept",
    "find_request",
    "queue_state",
    "replay",
]

# What a drain that parks sessions tells Prefect's server, and of what: the alert waits for it.
PARKED_EVENT = "seedtest.theta-requests.parked"
QUEUE_RESOURCE = "seedtest.theta-queue"


@dataclass(frozen=True)
class SessionCompleted:
    """What the exam platform reports: a learner's session has ended, at a time with a zone."""

    session_id: str
    user_id: str
    completed_at: dt.datetime


@dataclass(frozen=True)
class Accepted:
    """The request that stands for a report, and whether the report made it wait (again)."""

    request: SessionRequest
    is_new: bool


def accept(connection: Connection, completed: SessionCompleted) -> Accepted:
    """Put a session into the queue; commit before you acknowledge it, and wake the trigger after.

    Raises
    ------
    RequestError
        409: the session was reported before, for another learner.
    """
    added = theta_requests.add(connection, completed.session_id, completed.user_id, completed.completed_at)
    if added is not None:
        return Accepted(added, is_new=True)
    held = find_request(connection, completed.session_id)
    if held is None or held.user_id != completed.user_id:
        raise RequestError(
            f"user_id: session {completed.session_id} was reported for another learner before; correct "
            "session_id or user_id",
            status=409,
        )
    return Accepted(held, is_new=False)


def find_request(connection: Connection, session_id: str) -> SessionRequest | None:
    """Return what became of a session, or None when it was never reported."""
    return theta_requests.find(connection, session_id)


def queue_state(connection: Connection) -> QueueState:
    """Return how much waits, how much was given up, and how long the oldest request has waited."""
    return theta_requests.state(connection)


def replay(connection: Connection, session_ids: Sequence[str] | None = None) -> int:
    """Let parked requests wait again from their first try on; None: all of them. Return how many.

    Commit, then wake the trigger.

    Raises
    ------
    DataError
        Names sessions that are not parked; then nothing is changed.
    """
    if session_ids is not None:
        _require_parked(connection, session_ids)
    return theta_requests.replay(connection, session_ids)


def _require_parked(connection: Connection, session_ids: Sequence[str]) -> None:
    """Refuse sessions that a replay would pass over in silence."""
    found = {session_id: find_request(connection, session_id) for session_id in session_ids}
    wrong = {
        session_id: "unknown" if request is None else str(request.status)
        for session_id, request in found.items()
        if request is None or request.status is not RequestStatus.PARKED
    }
    if wrong:
        named = ", ".join(f"{session_id} ({status})" for session_id, status in wrong.items())
        raise DataError(
            f"Only parked sessions can be replayed, and these are not: {named}. "
            "`seedtest theta list --parked` shows those that are."
        )
