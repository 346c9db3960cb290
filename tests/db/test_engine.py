"""Connections: addresses, the session's settings, and what is said when there is none."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import OperationalError

from seedtest.db.engine import create_engine, normalise_url, reachable, shown_url
from seedtest.db.frames import read_frame
from seedtest.errors import ConfigurationError, StackNotRunningError
from tests.conftest import Address


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_every_name_of_postgresql_means_the_one_driver(scheme: str) -> None:
    url = normalise_url(f"{scheme}://ann:p%40ss@db.example:5433/seedtest?sslmode=require")
    assert url.drivername == "postgresql+psycopg2"
    assert (url.username, url.password, url.host, url.port) == ("ann", "p@ss", "db.example", 5433)
    assert (url.database, url.query["sslmode"]) == ("seedtest", "require")


def test_only_the_scheme_is_rewritten() -> None:
    url = normalise_url("postgresql://ann:postgres%3A%2F%2F@db/postgres")
    assert (url.password, url.database) == ("postgres://", "postgres")


@pytest.mark.parametrize("address", ["", "nonsense", "postgresql://ann:hush@db:hush/x"])
def test_a_malformed_address_is_refused_without_quoting_it(address: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as raised:
        create_engine(address)
    assert "hush" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_shown_address_hides_every_password() -> None:
    url = normalise_url("postgresql://ann:hush@/x?host=/run/db&password=hush&sslpassword=hush")
    assert shown_url(url) == "postgresql+psycopg2://ann:***@/x?host=%2Frun%2Fdb"


def test_a_session_is_in_utc_named_and_speaks_utf8(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Seoul")
    monkeypatch.setenv("PGCLIENTENCODING", "EUC_KR")
    engine = create_engine(database_url, application_name="n" * 80)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SHOW timezone")) == "UTC"
        assert connection.scalar(sa.text("SHOW application_name")) == "n" * 63
        assert connection.scalar(sa.text("SHOW client_encoding")) == "UTF8"
        frame = read_frame(connection, "SELECT '찬호' AS name", {"name": pl.String})
    assert frame.item() == "찬호"
    engine.dispose()


def test_a_statement_that_takes_too_long_is_cancelled(database_url: str) -> None:
    engine = create_engine(database_url, statement_timeout_secs=1)
    start = time.monotonic()
    with engine.connect() as connection, pytest.raises(OperationalError, match="statement timeout"):
        connection.execute(sa.text("SELECT pg_sleep(30)"))
    assert time.monotonic() - start < 10
    engine.dispose()


def test_a_connection_that_the_server_closed_is_replaced(engine: Engine, database_url: str) -> None:
    pooled = create_engine(database_url, application_name="idle in the pool")
    with pooled.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'idle in the pool'"
            )
        )
    with pooled.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    pooled.dispose()


def test_an_error_s_text_does_not_show_the_values_of_a_statement(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.DataError) as raised:
        connection.execute(sa.text("SELECT 1 / 0 WHERE :answer <> ''"), {"answer": "what ann answered"})
    assert "division by zero" in str(raised.value)
    assert "what ann answered" not in str(raised.value)


# -- reachable -------------------------------------------------------------------------------------


def refusal(url: str, patience_secs: float = 30) -> tuple[str, float]:
    """The message of an engine that cannot be reached, and the seconds it took."""
    start = time.monotonic()
    with (
        pytest.raises(StackNotRunningError) as raised,
        reachable(create_engine(url), patience_secs=patience_secs),
    ):
        pytest.fail("the database was reached")
    return str(raised.value), time.monotonic() - start


def test_a_reachable_database_gives_the_engine(database_url: str) -> None:
    with reachable(create_engine(database_url)) as engine, engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    assert engine.pool.status().startswith("Pool size: 2  Connections in pool: 0")


def test_an_unreachable_server_is_told_without_the_password() -> None:
    message, secs = refusal("postgresql://ann:hush@127.0.0.1:1/seedtest", patience_secs=0.5)
    assert 0.4 < secs < 10
    assert "postgresql+psycopg2://ann:***@127.0.0.1:1/seedtest" in message
    assert "refused" in message
    assert "seedtest up" in message
    assert "hush" not in message


def test_a_database_that_does_not_exist_is_told_at_once(server: Address) -> None:
    message, secs = refusal(server("nowhere"))
    assert 'database "nowhere" does not exist' in message
    assert secs < 5


def admits(url: str) -> bool:
    engine = create_engine(url)
    try:
        engine.connect().close()
    except OperationalError:
        return False
    finally:
        engine.dispose()
    return True


@contextmanager
def password_demanded_of(role: str, server: Address) -> Iterator[None]:
    """A role that, unlike the others of a test server, must give the password `right`."""
    engine = create_engine(server("postgres"))
    without_password = make_url(server("postgres")).set(username=role).render_as_string()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        rules = Path(str(connection.scalar(sa.text("SHOW hba_file"))))
        before = rules.read_text()
        demanded = f"local all {role} scram-sha-256\nhost all {role} all scram-sha-256\n"
        try:
            connection.execute(sa.text(f"CREATE ROLE {role} LOGIN PASSWORD 'right'"))
            rules.write_text(demanded + before)
            connection.execute(sa.text("SELECT pg_reload_conf()"))
            while admits(without_password):
                time.sleep(0.02)
            yield
        finally:
            rules.write_text(before)
            connection.execute(sa.text("SELECT pg_reload_conf()"))
            connection.execute(sa.text(f"DROP ROLE {role}"))
    engine.dispose()


def test_a_refused_password_is_told_at_once_and_not_shown(server: Address, database_url: str) -> None:
    url = make_url(database_url).set(username="locked")
    with password_demanded_of("locked", server):
        right = url.set(password="right").render_as_string(hide_password=False)
        message, secs = refusal(url.set(password="hush").render_as_string(hide_password=False))
        assert admits(right)
        without, secs_without = refusal(url.set(password=None).render_as_string())
    assert 'password authentication failed for user "locked"' in message
    assert "hush" not in message
    assert "no password supplied" in without
    assert max(secs, secs_without) < 5


def test_a_server_that_comes_back_is_waited_for(
    server: Address, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    name = make_url(database_url).database
    admin = create_engine(server("postgres"))
    with (
        admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        waiting = pool.submit(reach, database_url)
        time.sleep(0.5)
        assert not waiting.done()
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        waiting.result(timeout=20)
    admin.dispose()


def reach(url: str) -> None:
    with reachable(create_engine(url)):
        pass
