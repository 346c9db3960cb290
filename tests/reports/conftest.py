"""The week of the simulated cohort, made once; what a test adds to it is rolled back."""

import os
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db import migrate
from seedtest.db.engine import create_engine
from tests.conftest import Address
from tests.reports import weeks


@pytest.fixture(scope="session")
def prepared(server: Address) -> Iterator[Engine]:
    """A database with everything that comes before the reports of the week."""
    name = f"week_{os.getpid()}"
    servers = create_engine(server("postgres"), application_name="pytest")
    administer = servers.connect().execution_options(isolation_level="AUTOCOMMIT")
    administer.execute(sa.text(f"CREATE DATABASE {name}"))
    migrate.upgrade(server(name))
    engine = create_engine(server(name), application_name="pytest")
    weeks.prepare(engine)
    yield engine
    engine.dispose()
    administer.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    administer.close()
    servers.dispose()


@pytest.fixture
def week(prepared: Engine) -> Iterator[Connection]:
    """A transaction on that database, rolled back after the test."""
    with prepared.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()
