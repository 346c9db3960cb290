"""Connections: one way to make an engine, and the messages when none can be had."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import sqlalchemy as sa
from psycopg2 import extensions
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from seedtest.errors import ConfigurationError, StackNotRunningError

logger = logging.getLogger(__name__)

DEFAULT_STATEMENT_TIMEOUT_SECS = 3600
DEFAULT_LOCK_TIMEOUT_SECS = 60.0
CONNECT_PATIENCE_SECS = 30.0
# Messages of a refusal that waiting does not mend, unlike a restart.
FINAL = ("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry")


def normalise_url(database_url: str) -> URL:
    """Return the address with the driver named: a bare postgresql:// would mean psycopg 3."""
    try:
        url = make_url(database_url.replace("postgres://", "postgresql://", 1))
    except (sa.exc.ArgumentError, ValueError):
        # Without the cause: it quotes a part of the address, which may be one of the password.
        raise ConfigurationError(
            "DATABASE_URL is not an address SQLAlchemy can read. Expected "
            "postgresql://user:password@host:port/name; write @ : / in a password as %40 %3A %2F."
        ) from None
    return url.set(drivername="postgresql+psycopg2") if url.get_backend_name() == "postgresql" else url


def create_engine(
    database_url: str,
    *,
    application_name: str = "seedtest",
    statement_timeout_secs: int = DEFAULT_STATEMENT_TIMEOUT_SECS,
    lock_timeout_secs: float = DEFAULT_LOCK_TIMEOUT_SECS,
    pool_size: int = 2,
) -> Engine:
    """Return an engine whose sessions are in UTC, bounded in time and named for the operator.

    `statement_timeout` is the server's, since nothing on the client's side can stop a running query.
    """
    # To PostgreSQL 0 would mean for ever.
    lock_timeout_ms = max(1, round(lock_timeout_secs * 1000))
    options = f"-c statement_timeout={statement_timeout_secs * 1000} -c lock_timeout={lock_timeout_ms}"
    engine = sa.create_engine(
        normalise_url(database_url),
        # An error's text goes to logs: the statement without the values bound to it.
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=pool_size,
        connect_args={
            "application_name": application_name[:63],
            # COPY's text is read as UTF-8, whatever the database or PGCLIENTENCODING prefers.
            "client_encoding": "utf8",
            "options": options,
            "connect_timeout": 10,
            "keepalives_idle": 30,
        },
    )
    sa.event.listen(engine, "connect", _use_utc)
    return engine


def _use_utc(connection: extensions.connection, _record: ConnectionPoolEntry) -> None:
    """Set the time zone once connected: as an option it would give way to PGTZ."""
    with connection.cursor() as cursor:
        cursor.execute("SET timezone TO 'UTC'")
    connection.commit()


@contextmanager
def reachable(engine: Engine, *, patience_secs: float = CONNECT_PATIENCE_SECS) -> Iterator[Engine]:
    """Give the engine once its database answers; wait through a restart, then say what is wrong."""
    try:
        _knock(engine, patience_secs)
        yield engine
    finally:
        engine.dispose()


def shown_url(url: URL) -> str:
    """Return an address fit for a message: without the password, wherever it stands."""
    return url.difference_update_query(["password", "sslpassword"]).render_as_string(hide_password=True)


def _knock(engine: Engine, patience_secs: float) -> None:
    patiently = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_delay(patience_secs),
        wait=wait_exponential(multiplier=0.2, max=5),
        before_sleep=partial(_tell_once, patience_secs=patience_secs),
        reraise=True,
    )
    try:
        patiently(_select_one, engine)
    except OperationalError as error:
        raise StackNotRunningError(
            f"The database at {shown_url(engine.url)} cannot be used: "
            f"{str(error.orig).strip()}. Check DATABASE_URL, or start the embedded stack with `seedtest up`."
        ) from error


def _tell_once(state: RetryCallState, *, patience_secs: float) -> None:
    if state.attempt_number == 1:
        logger.warning("The database does not answer; waiting up to %g s for it", patience_secs)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, OperationalError) and not any(text in str(error.orig) for text in FINAL)


def _select_one(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
