"""The θ API beside a PostgreSQL and a key server, one of each a module."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.db import migrate
from seedtest.db.engine import create_engine
from tests.api.auth.issuing import KEY_ID, key_set, published
from tests.api.auth.key_servers import Served, key_server
from tests.conftest import Address
from tests.theta_api.services import Service, running
from tests.theta_sessions import add_items

_numbers = itertools.count()


@pytest.fixture(scope="module")
def learners_url(server: Address) -> str:
    """A migrated database with calibrated items, of a module's own."""
    name = f"theta_api_{next(_numbers)}"
    administering = create_engine(server("postgres"), application_name="pytest")
    with administering.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    administering.dispose()
    migrate.upgrade(server(name))
    return server(name)


@pytest.fixture(scope="module")
def learners(learners_url: str) -> Iterator[Engine]:
    """An engine on that database."""
    engine = create_engine(learners_url, application_name="pytest")
    with engine.begin() as connection:
        add_items(connection)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def keys() -> Iterator[Served]:
    """A key server with one key."""
    with key_server(key_set(published(KEY_ID))) as found:
        yield found


@pytest.fixture(scope="module")
def service(
    learners: Engine, learners_url: str, keys: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service as it comes."""
    assert learners.url.database
    with running(tmp_path_factory.mktemp("api"), learners_url, keys.url) as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for services of a module's own."""
    return tmp_path_factory.mktemp("services")
