"""The database that a command works on."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine

from seedtest.db.engine import create_engine, reachable
from seedtest.db.revision import require_schema
from seedtest.local.addresses import database_url
from seedtest.settings import load_settings

# A person waits for an answer; a flow at night can wait longer.
PATIENCE_SECS = 3


@contextmanager
def database() -> Iterator[Engine]:
    """Give the database that DATABASE_URL names, or else the embedded stack's."""
    engine = create_engine(database_url(load_settings()), application_name="seedtest command")
    with reachable(engine, patience_secs=PATIENCE_SECS):
        require_schema(engine)
        yield engine
