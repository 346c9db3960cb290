"""What befalls a run's database from outside, told in words that say what to do.

The rest are defects of ours and pass as they are, with their trace.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import sqlalchemy as sa
from psycopg2 import errorcodes
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from seedtest.db.answer_packs import LOCKED_PARTS
from seedtest.db.locks import NAMESPACE
from seedtest.errors import DatabaseError

LOCKED = (
    "Another session held a lock for longer than LOCK_TIMEOUT_SECS. {holders} Wait for that session or end "
    "it (SELECT pg_terminate_backend(PID))"
)
TOO_SLOW = (
    "A statement was cancelled: it took longer than STATEMENT_TIMEOUT_SECS, or somebody cancelled it. "
    "{holders} If it waited for such a lock, wait for that session or end it "
    "(SELECT pg_terminate_backend(PID)); if it only needs longer, raise STATEMENT_TIMEOUT_SECS"
)
DISK_FULL = "The database's disk is full. Free or add space (the runbook says where to look)"
NO_MEMORY = "The database server is out of memory. Give it more, or lower BATCH_ANSWERS"
CROWDED = "The database has no connection left. Raise max_connections, or lower BATCH_SHARDS"
COLLISION = "Another session changed the same rows at the same moment. Nothing needs mending"
LOST = (
    "The connection to the database was lost: it restarted, was stopped, or the network failed. "
    "See that it is up and answers"
)

BY_STATE = {
    errorcodes.LOCK_NOT_AVAILABLE: LOCKED,
    errorcodes.QUERY_CANCELED: TOO_SLOW,
    errorcodes.DISK_FULL: DISK_FULL,
    errorcodes.OUT_OF_MEMORY: NO_MEMORY,
    errorcodes.TOO_MANY_CONNECTIONS: CROWDED,
    errorcodes.SERIALIZATION_FAILURE: COLLISION,
    errorcodes.DEADLOCK_DETECTED: COLLISION,
    errorcodes.ADMIN_SHUTDOWN: LOST,
    errorcodes.CRASH_SHUTDOWN: LOST,
    errorcodes.CANNOT_CONNECT_NOW: LOST,
}

# Who keeps others from a table or from the answer packs, other runs of ours included.
HOLDERS = """
SELECT DISTINCT a.application_name, a.pid, coalesce(c.relname, 'the answer packs') AS held
FROM pg_locks AS l
JOIN pg_stat_activity AS a USING (pid)
LEFT JOIN pg_class AS c ON c.oid = l.relation AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
WHERE l.granted AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (
        c.oid IS NOT NULL
        AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        OR l.locktype = 'advisory' AND l.classid = :namespace AND l.objid IN (
            SELECT CAST(CAST(hashtext('answer packs ' || part) AS bigint) & 4294967295 AS oid)
            FROM generate_series(0, :last_part) AS part
        )
    )
ORDER BY a.pid, held LIMIT 3
"""


@contextmanager
def outages_told(engine: Engine, stage: str) -> Iterator[None]:
    """Turn what befalls the database under a stage into a DatabaseError that says what to do.

    COPY raises the driver's own errors, everything else SQLAlchemy's around them.
    """
    try:
        yield
    except (DBAPIError, psycopg2.Error) as error:
        driver = error.orig if isinstance(error, DBAPIError) else error
        remedy = _remedy(driver)
        if remedy is None:
            raise
        # The first line alone: what may follow it quotes values.
        said = str(driver).strip().partition("\n")[0]
        holders = _holders(engine) if "{holders}" in remedy else ""
        raise DatabaseError(
            f"The database broke {stage} off ({said}). {remedy.format(holders=holders)}, and run it again: "
            "what it had committed stands, nothing is half written, and it goes on from there."
        ) from error


def _remedy(error: BaseException | None) -> str | None:
    state = getattr(error, "pgcode", None)
    if state is not None:
        return BY_STATE.get(state)
    # Without a state no server has spoken: the driver found the connection gone.
    is_lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    return LOST if is_lost or type(error) is psycopg2.DatabaseError else None


def _holders(engine: Engine) -> str:
    with engine.connect() as connection:
        bounds = {"namespace": NAMESPACE, "last_part": LOCKED_PARTS - 1}
        rows = connection.execute(sa.text(HOLDERS), bounds).all()
    if not rows:
        return "No session holds a table or the answer packs any more; pg_stat_activity shows what others do."
    named = "; ".join(f"'{row.application_name}' (PID {row.pid}) holds {row.held}" for row in rows)
    return f"At this moment {named}."
