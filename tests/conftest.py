"""Real parts for the tests: PostgreSQL, one migrated database a test."""

import itertools
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from seedtest.db import migrate
from seedtest.db.engine import create_engine
from seedtest.local.postgres import EmbeddedPostgres
from tests.debian_postgres import DebianPostgres

pytest_plugins = ("tests.amazon",)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
TEMPLATE = "template_seedtest"

_numbers = itertools.count()
Address = Callable[[str], str]


# Folders and modules whose tests share a Prefect server, or a whole stack: each stays with one of several
# processes.
SHARING = (
    "flows",
    "drills",
    "e2e",
    "local",
    "irt_service",
    "blocks",
    "deploy",
    "test_theta_trigger.py",
    "test_prefect_password.py",
)

# Here the tests of each module share a service.
SHARING_BY_MODULE = ("theta_api",)


class FolderScheduling(LoadScopeScheduling):
    """Deals out tests one by one, but what shares something costly as one piece.

    xdist's own groups (--dist loadgroup) do nothing under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        place = nodeid.split("/")[1].partition("::")[0]
        if place in SHARING_BY_MODULE:
            return nodeid.partition("::")[0]
        return place if place in SHARING else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FolderScheduling:
    """Deal out the tests to several processes."""
    return FolderScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name apart what schemathesis makes of one function; of tests with one name xdist runs one."""
    for item in items:
        if not item.nodeid.endswith(item.name):
            item._id = item.id.with_params(item.name.partition("[")[2].removesuffix("]"))
    twice = [name for name, n in Counter(item.nodeid for item in items).items() if n > 1]
    if twice:
        raise pytest.UsageError(f"several tests are called {twice[0]}")


class Lines(logging.Handler):
    """Lines that were logged, a trace as a line of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if record.exc_info:
            self.lines.append("Traceback")


@contextmanager
def listening(*logger_names: str) -> Iterator[list[str]]:
    """Collect what loggers are told, whatever handlers Prefect has put in their way."""
    handler, loggers = Lines(), [logging.getLogger(name) for name in logger_names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    yield handler.lines
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def core_log() -> Iterator[list[str]]:
    """What the core logged while the test ran."""
    with listening("seedtest") as lines:
        yield lines


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and reference results beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("../shared (real answers, reference results) is not beside this repository")
    return SHARED


@pytest.fixture(scope="session")
def embedded() -> Iterator[Address]:
    """The wheel's PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="seedtest-test-") as folder:
        server = EmbeddedPostgres(Path(folder) / "home", durable=False)
        try:
            server.start()
            yield server.url
        finally:
            server.remove()


@pytest.fixture(scope="session")
def debian() -> Iterator[Address]:
    """Debian's PostgreSQL, where it is installed."""
    if not DebianPostgres.installed():
        pytest.skip("Debian's PostgreSQL is not installed (apt-get install postgresql)")
    with DebianPostgres() as server:
        yield server.url


@pytest.fixture(scope="session")
def server(embedded: Address) -> Address:
    """The server that tests use; the database's own tests run on both kinds."""
    return embedded


def _administer(address: Address, *statements: str) -> None:
    engine = create_engine(address("postgres"), application_name="pytest")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


@pytest.fixture(scope="module")
def prefect_database(debian: Address) -> str:
    """An empty database for a Prefect server on PostgreSQL, as it runs in a cluster."""
    name = f"prefect_{next(_numbers)}"
    _administer(debian, f"CREATE DATABASE {name}")
    return debian(name).replace("postgresql://", "postgresql+asyncpg://")


_templates: set[str] = set()


def _template_on(server: Address) -> str:
    """Return a migrated database to copy, made once on each server: copying costs less than migrating."""
    if server(TEMPLATE) not in _templates:
        _administer(server, f"CREATE DATABASE {TEMPLATE}")
        migrate.upgrade(server(TEMPLATE))
        _templates.add(server(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def empty_database_url(server: Address) -> Iterator[str]:
    """An empty database of the test's own, not migrated."""
    name = f"empty_{os.getpid()}_{next(_numbers)}"
    _administer(server, f"CREATE DATABASE {name}")
    yield server(name)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(server: Address) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE {_template_on(server)}")
    yield server(name)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on `database_url`."""
    engine = create_engine(database_url, application_name="pytest")
    yield engine
    engine.dispose()
