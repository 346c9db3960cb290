"""Connections: one way to make an engine, and the messages when none can be had."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import OperationalError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_exponential

from seedtest.errors import ConfigurationError, StackNotRunningError

logger = logging.getLogger(__name__)

DEFAULT_STATEMENT_TIMEOUT_SECS = 3600
CONNECT_PATIENCE_SECS = 30


def normalise_url(database_url: str) -> URL:
    """Return the address with the driver named: a bare postgresql:// would mean psycopg 3."""
    try:
        url = make_url(database_url.replace("postgres://", "postgresql://", 1))
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(
            "DATABASE_URL is not an address SQLAlchemy can read. Expected postgresql://user:password@host/name."
        ) from error
    return url.set(drivername="postgresql+psycopg2") if url.get_backend_name() == "postgresql" else url


def create_engine(
    database_url: str,
    *,
    application_name: str = "seedtest",
    statement_timeout_secs: int = DEFAULT_STATEMENT_TIMEOUT_SECS,
) -> Engine:
    """Return an engine whose sessions are in UTC, bounded in time and named for the operator.

    `statement_timeout` is the server's, since nothing on the client's side can stop a running query.
    """
    options = f"-c timezone=UTC -c statement_timeout={statement_timeout_secs * 1000} -c lock_timeout=60000"
    return sa.create_engine(
        normalise_url(database_url),
        pool_pre_ping=True,
        pool_size=2,
        connect_args={
            "application_name": application_name[:63],
            "options": options,
            "connect_timeout": 10,
            "keepalives_idle": 30,
        },
    )


@contextmanager
def reachable(engine: Engine) -> Iterator[Engine]:
    """Give the engine once its database answers; wait through a restart, then say what is wrong."""
    try:
        _knock(engine)
        yield engine
    finally:
        engine.dispose()


def _knock(engine: Engine) -> None:
    try:
        _select_one(engine)
    except OperationalError as error:
        address = engine.url.render_as_string(hide_password=True)
        raise StackNotRunningError(
            f"The database at {address} cannot be used: "
            f"{str(error.orig).strip()}. Check DATABASE_URL, or start the embedded stack with `seedtest up`."
        ) from error


def _may_pass(error: BaseException) -> bool:
    """Tell a restart, which mends itself, from a refused password or a missing database."""
    final = ("authentication failed", "does not exist", "no pg_hba.conf entry")
    return isinstance(error, OperationalError) and not any(text in str(error.orig) for text in final)


@retry(
    retry=retry_if_exception(_may_pass),
    stop=stop_after_delay(CONNECT_PATIENCE_SECS),
    wait=wait_exponential(multiplier=0.2, max=5),
    reraise=True,
)
def _select_one(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
