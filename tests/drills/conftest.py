"""A PostgreSQL that may be stopped, a Prefect server, and a cohort with a fit, copied for each drill."""

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from flows.aggregate_features_daily import aggregate_features_daily
from flows.compute_daily_kpis import compute_daily_kpis
from flows.mirt_calibrate import mirt_calibrate
from seedtest.db import migrate
from seedtest.db.engine import create_engine
from seedtest.local.postgres import EmbeddedPostgres
from seedtest.local.simulate import load_cohort, simulate
from tests.conftest import Address
from tests.flows.conftest import LAST_DAY, PLAN, environment, log, prefect_server
from tests.flows.snapshots import RESULTS, snapshot

__all__ = ["environment", "log", "prefect_server"]

# Small enough for a dozen batches of the cohort's 1,800 answers.
BATCH_ANSWERS = 150
# All that features and KPIs leave behind.
WRITTEN = (*RESULTS, "input_digest", "answer_pack")
EMPTY, PREPARED = "empty_with_tables", "cohort_with_fit"

Snapshot = dict[str, tuple[int, str]]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server that drills may stop; whoever does starts it again."""
    with tempfile.TemporaryDirectory(prefix="seedtest-drill-") as folder:
        server = EmbeddedPostgres(Path(folder) / "home", durable=False)
        try:
            server.start()
            yield server
        finally:
            server.remove()


@pytest.fixture(scope="session")
def server(postgres: EmbeddedPostgres) -> Address:
    return postgres.url


@contextmanager
def database(server: Address, template: str) -> Iterator[str]:
    """Make a copy of a database, and drop it at the end; give its address."""
    name = f"drill_{os.getpid()}_{next(_numbers)}"
    administrator = create_engine(server("postgres"), application_name="pytest")
    with administrator.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield server(name)
        # A drill may have stopped the server, and this connection with it.
        connection.invalidate()
    with administrator.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    administrator.dispose()


@contextmanager
def opened(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url, application_name="pytest")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def empty_template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with tables, and nothing in them."""
    postgres.ensure_database(EMPTY)
    migrate.upgrade(postgres.url(EMPTY))
    return EMPTY


@pytest.fixture(scope="session")
def template(server: Address, empty_template: str, prefect_server: None) -> str:
    """The name of a database with a cohort and a fit, and no features or KPIs yet."""
    with database(server, empty_template) as url, pytest.MonkeyPatch.context() as patch:
        with opened(url) as engine:
            load_cohort(engine, simulate(PLAN))
        patch.setenv("DATABASE_URL", url)
        mirt_calibrate(date=LAST_DAY)
        with opened(url) as engine, engine.begin() as connection:
            # A calibration unpacks results too; a drill is to unpack them itself.
            connection.execute(sa.text("TRUNCATE answer_pack"))
        with opened(server("postgres")) as administrator, administrator.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            name = sa.engine.make_url(url).database
            connection.execute(sa.text(f"CREATE DATABASE {PREPARED} TEMPLATE {name}"))
    return PREPARED


@pytest.fixture(scope="session")
def undisturbed(server: Address, template: str) -> Snapshot:
    """What features and KPIs leave behind when nobody disturbs them, computed in one batch."""
    with database(server, template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        aggregate_features_daily(date=LAST_DAY)
        compute_daily_kpis(date=LAST_DAY)
        with opened(url) as engine:
            return snapshot(engine, WRITTEN)


@contextmanager
def changed_database(
    server: Address, template: str, patch: pytest.MonkeyPatch, **environment: str
) -> Iterator[Engine]:
    """Give a copy of a database that flows work on meanwhile, with more in their environment."""
    with database(server, template) as url, patch.context() as changed, opened(url) as engine:
        for name, value in {"DATABASE_URL": url, **environment}.items():
            changed.setenv(name, value)
        yield engine


@pytest.fixture
def database_url(server: Address, template: str) -> Iterator[str]:
    """A database of the drill's own, with the cohort and its fit."""
    with database(server, template) as url:
        yield url


@pytest.fixture(autouse=True)
def small_batches(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the learners into many batches."""
    monkeypatch.setenv("BATCH_ANSWERS", str(BATCH_ANSWERS))
