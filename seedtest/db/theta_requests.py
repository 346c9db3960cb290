"""The queue of sessions that ask for a new θ (`theta_request`), and its generations (`theta_drain`)."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from seedtest.errors import DataError

# What failed waits for 30 s, 60 s, 120 s, …, an hour at most, before it is tried again.
FIRST_WAIT_SECS = 30
MOST_WAIT_SECS = 3600

COLUMNS = "session_id, user_id, requested_at, status, attempts, reason, ability_as_of, updated_at"
WAIT_SECS = f"least({FIRST_WAIT_SECS} * power(2, least(attempts, 30) - 1), {MOST_WAIT_SECS})"
DUE = f"""status = 'pending'
    AND (attempts = 0 OR updated_at <= now() - make_interval(secs => {WAIT_SECS}))"""
# A settled request opens again for answers newer than those that its θ used; a noop used none.
ADD = f"""
INSERT INTO theta_request AS held (session_id, user_id) VALUES (:session_id, :user_id)
ON CONFLICT (session_id) DO UPDATE
SET status = 'pending', requested_at = now(), attempts = 0, reason = NULL, ability_as_of = NULL,
    updated_at = now()
WHERE held.user_id = excluded.user_id
    AND (held.status = 'noop' OR held.status = 'done' AND held.ability_as_of < :completed_at)
RETURNING {COLUMNS}
"""
FIND = f"SELECT {COLUMNS} FROM theta_request WHERE session_id = :session_id"
# Each from its own partial index: settled requests are many, and the API asks every few seconds.
STATE = """
SELECT pending.n AS pending, parked.n AS parked,
    CAST(extract(epoch FROM clock_timestamp() - pending.oldest) AS double precision) AS oldest_pending_secs
FROM (SELECT count(*) AS n, min(requested_at) AS oldest FROM theta_request WHERE status = 'pending')
    AS pending,
    (SELECT count(*) AS n FROM theta_request WHERE status = 'parked') AS parked
"""
TAKE = f"""
SELECT {COLUMNS} FROM theta_request WHERE {DUE}
ORDER BY requested_at LIMIT :n FOR UPDATE SKIP LOCKED
"""
SETTLE = """
UPDATE theta_request AS held
SET status = found.status, reason = found.reason, ability_as_of = found.ability_as_of,
    attempts = held.attempts + 1, updated_at = clock_timestamp()
FROM unnest(CAST(:session_ids AS text[]), CAST(:statuses AS text[]), CAST(:reasons AS text[]),
    CAST(:abilities_as_of AS timestamptz[])) AS found (session_id, status, reason, ability_as_of)
WHERE held.session_id = found.session_id
"""
REPLAY = """
UPDATE theta_request SET status = 'pending', attempts = 0, requested_at = now(), updated_at = now()
WHERE status = 'parked'
    AND (CAST(:session_ids AS text[]) IS NULL OR session_id = ANY(CAST(:session_ids AS text[])))
"""
LIST = f"""
SELECT {COLUMNS} FROM theta_request WHERE status = ANY(:statuses) ORDER BY requested_at LIMIT :n
"""
OPEN = "SELECT generation, opened_at FROM theta_drain"
CLOSE = """
UPDATE theta_drain SET generation = generation + 1, opened_at = clock_timestamp()
WHERE CAST(:only AS bigint) IS NULL OR generation = :only
"""


class RequestStatus(StrEnum):
    """What became of a request."""

    PENDING = "pending"
    DONE = "done"
    NOOP = "noop"
    PARKED = "parked"


@dataclass(frozen=True)
class SessionRequest:
    """A finished session that asks for a new θ; a row of `theta_request`."""

    session_id: str
    user_id: str
    requested_at: dt.datetime
    status: RequestStatus
    attempts: int
    reason: str | None
    ability_as_of: dt.datetime | None
    updated_at: dt.datetime


@dataclass(frozen=True)
class QueueState:
    """How much waits, how much was given up, and how long the oldest has waited (None: nothing waits)."""

    pending: int
    parked: int
    oldest_pending_secs: float | None


@dataclass(frozen=True)
class Settlement:
    """What a try of a request came to: a new status, and why."""

    session_id: str
    status: RequestStatus
    reason: str | None = None
    ability_as_of: dt.datetime | None = None


@dataclass(frozen=True)
class Generation:
    """All requests between two drains; they share one run."""

    number: int
    opened_at: dt.datetime

    @property
    def key(self) -> str:
        """Idempotency key of its run: another database on the same Prefect server has other times."""
        return f"theta-{self.number}-{self.opened_at.astimezone(dt.UTC):%Y%m%dT%H%M%S.%f}"


def add(
    connection: Connection, session_id: str, user_id: str, completed_at: dt.datetime
) -> SessionRequest | None:
    """Add a request, or open a settled one again; None when the one that is there stands as it is."""
    given = {"session_id": session_id, "user_id": user_id, "completed_at": completed_at}
    row = connection.execute(sa.text(ADD), given).mappings().first()
    return None if row is None else _request(row)


def find(connection: Connection, session_id: str) -> SessionRequest | None:
    """Return a session's request, if there is one."""
    row = connection.execute(sa.text(FIND), {"session_id": session_id}).mappings().first()
    return None if row is None else _request(row)


def state(connection: Connection) -> QueueState:
    """Return how much waits and how much was given up."""
    return QueueState(**connection.execute(sa.text(STATE)).mappings().one())


def any_due(connection: Connection) -> bool:
    """Whether a request waits that a drain would take now, unless another drain holds it."""
    return bool(connection.scalar(sa.text(f"SELECT EXISTS (SELECT FROM theta_request WHERE {DUE})")))


def take(connection: Connection, n: int) -> list[SessionRequest]:
    """Lock the `n` oldest requests that are due and that no other drain holds."""
    return [_request(row) for row in connection.execute(sa.text(TAKE), {"n": n}).mappings()]


def settle(connection: Connection, settlements: Sequence[Settlement]) -> None:
    """Write what became of requests, and count the try."""
    connection.execute(
        sa.text(SETTLE),
        {
            "session_ids": [one.session_id for one in settlements],
            "statuses": [one.status.value for one in settlements],
            "reasons": [one.reason for one in settlements],
            "abilities_as_of": [one.ability_as_of for one in settlements],
        },
    )


def replay(connection: Connection, session_ids: Sequence[str] | None = None) -> int:
    """Let parked requests wait again, from their first try on; return how many. None: all that are parked.

    A reason stays until the next try has an outcome.
    """
    given = {"session_ids": None if session_ids is None else list(session_ids)}
    return int(connection.execute(sa.text(REPLAY), given).rowcount)


def listed(connection: Connection, statuses: Sequence[RequestStatus], *, most: int) -> list[SessionRequest]:
    """Return requests in these states, the oldest first, `most` at most."""
    given = {"statuses": [status.value for status in statuses], "n": most}
    return [_request(row) for row in connection.execute(sa.text(LIST), given).mappings()]


def open_generation(connection: Connection) -> Generation:
    """Return the generation that a request committed by now belongs to."""
    row = connection.execute(sa.text(OPEN)).first()
    if row is None:
        raise DataError(
            "theta_drain has lost its row, so nobody can tell which run a session belongs to. Put it back: "
            "INSERT INTO theta_drain (id) VALUES (1)."
        )
    return Generation(row.generation, row.opened_at)


def close_generation(connection: Connection, only: Generation | None = None) -> bool:
    """Begin the next generation; with `only` no other than this one is closed. Return whether one was."""
    given = {"only": None if only is None else only.number}
    return connection.execute(sa.text(CLOSE), given).rowcount == 1


def _request(row: RowMapping) -> SessionRequest:
    return SessionRequest(**{**row, "status": RequestStatus(row["status"])})
