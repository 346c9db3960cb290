"""One run of a stage at a time, whoever started it: PostgreSQL advisory locks."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import sqlalchemy as sa
from psycopg2 import extensions
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_random

from seedtest.errors import LockTimeoutError

logger = logging.getLogger(__name__)

# The first of the two keys of an advisory lock: it keeps ours apart from other applications'.
NAMESPACE = 53_870

ACQUIRE = "SELECT pg_try_advisory_lock(:namespace, hashtext(:stage))"
RELEASE = "SELECT pg_advisory_unlock(:namespace, hashtext(:stage))"
# An advisory lock of two keys shows them as classid and objid (unsigned), with objsubid 2.
IS_LOCK = """
    l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid = {namespace}
    AND l.objid = CAST(CAST(hashtext({stage}) AS bigint) & 4294967295 AS oid)
"""
HOLDER = f"""
SELECT a.application_name, a.pid, a.backend_start
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE {IS_LOCK.format(namespace=":namespace", stage=":stage")}
"""
HELD = f"""
SELECT EXISTS (
    SELECT FROM pg_locks AS l
    WHERE l.pid = %(pid)s AND {IS_LOCK.format(namespace="%(namespace)s", stage="%(stage)s")}
)
"""

# θ after a session holds the fit in force while it works with it; a fit that comes into force holds it alone.
SHARE_FIT = f"SELECT pg_advisory_xact_lock_shared({NAMESPACE}, hashtext('fit in force'))"
REPLACE_FIT = f"SELECT pg_advisory_xact_lock({NAMESPACE}, hashtext('fit in force'))"


@contextmanager
def stage_lock(engine: Engine, stage: str, *, wait_secs: float) -> Iterator[int]:
    """Hold the stage's lock; raise LockTimeoutError naming the holder after `wait_secs`.

    The lock lives on a connection of its own, so it ends with the process, however that ends. The
    engine's application_name is what another run sees as the holder's name. Gives the PID of the database
    process that holds it.
    """
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        _acquire(connection, stage, wait_secs)
        try:
            yield connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        finally:
            _release(connection, stage)


@contextmanager
def only_while_held(engine: Engine, stage: str, holder: int) -> Iterator[None]:
    """Refuse the engine new connections once database process `holder` has lost the stage's lock.

    Another run may have begun then, and after a crash of PostgreSQL the tables that it does not log,
    `answer_pack` among them, are empty: a run that just connected again would take learners for gone. A
    crash ends the connections that the engine has, so new ones are all that need be looked at.
    """
    held = {"namespace": NAMESPACE, "stage": stage, "pid": holder}

    def refuse(new: extensions.connection, _record: object) -> None:
        with new.cursor() as cursor:
            cursor.execute(HELD, held)
            is_held = cursor.fetchone() == (True,)
        new.rollback()
        if not is_held:
            new.close()
            raise psycopg2.OperationalError(f"the lock of {stage} ended with the connection that held it")

    sa.event.listen(engine, "connect", refuse)
    try:
        yield
    finally:
        sa.event.remove(engine, "connect", refuse)


def _release(connection: Connection, stage: str) -> None:
    try:
        connection.execute(sa.text(RELEASE), {"namespace": NAMESPACE, "stage": stage})
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        # What the stage did stands, and its own error, if any, must be the one that is seen.
        logger.warning(
            "The lock of %s ended with its database connection before the run did; another run may have "
            "started beside it",
            stage,
        )


def _acquire(connection: Connection, stage: str, wait_secs: float) -> None:
    keys = {"namespace": NAMESPACE, "stage": stage}

    def attempt() -> bool:
        return bool(connection.scalar(sa.text(ACQUIRE), keys))

    if attempt():
        return
    logger.info("Waiting up to %g s for %s, held by %s", wait_secs, stage, _holder(connection, stage))
    patiently = Retrying(
        retry=retry_if_result(lambda got: not got),
        wait=wait_random(0.2, 0.5),
        stop=stop_after_delay(wait_secs),
        retry_error_callback=lambda _state: False,
    )
    if not patiently(attempt):
        raise LockTimeoutError(
            f"Stage {stage} is already running: {_holder(connection, stage)} holds its lock, and did for "
            f"{wait_secs:g} s. Wait for that run, or cancel it; LOCK_WAIT_SECS sets how long to wait."
        )


def _holder(connection: Connection, stage: str) -> str:
    keys = {"namespace": NAMESPACE, "stage": stage}
    row = connection.execute(sa.text(HOLDER), keys).first()
    if row is None:
        return "a run that has just ended"
    # PostgreSQL shows the start of another role's session only to members of pg_read_all_stats.
    since = f", connected since {row.backend_start:%Y-%m-%d %H:%M:%S} UTC" if row.backend_start else ""
    return f"'{row.application_name}' (database process {row.pid}{since})"
