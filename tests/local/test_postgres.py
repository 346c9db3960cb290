"""The embedded PostgreSQL on its own: real servers in temporary homes."""

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest
import sqlalchemy as sa

from seedtest.errors import StackError
from seedtest.local.postgres import EmbeddedPostgres
from seedtest.local.postgres.binaries import SYSTEM_DATA
from tests.local.homes import open_folder

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, with a short path."""
    with open_folder() as path:
        yield path


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The home of the server that most tests share."""
    with open_folder() as path:
        yield path / "home"
        EmbeddedPostgres(path / "home").remove()


@pytest.fixture
def server(home: Path) -> EmbeddedPostgres:
    """A running server."""
    server = EmbeddedPostgres(home, durable=False)
    server.start()
    return server


def query(server: EmbeddedPostgres, statement: str) -> object:
    engine = sa.create_engine(server.url())
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        value = result.scalar() if result.returns_rows else None
    engine.dispose()
    return value


def write_rows(server: EmbeddedPostgres) -> None:
    query(server, "DROP TABLE IF EXISTS kept")
    query(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")


def test_a_new_home_gets_a_server_with_utf8_checksums_and_utc(server: EmbeddedPostgres) -> None:
    assert query(server, "SHOW server_encoding") == "UTF8"
    assert query(server, "SHOW data_checksums") == "on"
    assert query(server, "SHOW timezone") == "UTC"
    assert str(query(server, "SHOW server_version")).startswith("18.")


def test_only_the_socket_is_listened_on_and_only_its_user_may_enter(server: EmbeddedPostgres) -> None:
    process = server.process()
    assert process is not None
    assert process.net_connections(kind="inet") == []
    assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.sockets / ".s.PGSQL.5432").stat().st_mode) == 0o700


def test_starting_twice_keeps_the_server_and_stopping_twice_is_fine(server: EmbeddedPostgres) -> None:
    first = server.process()
    server.start()
    assert server.process() == first
    server.stop()
    server.stop()
    assert server.process() is None


def test_rows_survive_a_stop_and_a_kill(server: EmbeddedPostgres) -> None:
    write_rows(server)
    server.stop()
    server.start()
    assert query(server, "SELECT count(*) FROM kept") == 1000
    process = server.process()
    assert process is not None
    process.send_signal(signal.SIGKILL)
    server.start()
    assert query(server, "SELECT count(*) FROM kept") == 1000


def test_the_address_is_libpqs_too(server: EmbeddedPostgres) -> None:
    with closing(psycopg2.connect(server.url().replace("+psycopg2", ""))) as connection:
        assert connection.info.dbname == "seedtest"


def test_a_home_with_blanks_percent_signs_and_hangul_works(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "서버 1%20 'x'", durable=False)
    with server:
        assert query(server, "SELECT 1") == 1
    server.remove()


def test_a_home_too_deep_for_a_socket_puts_it_into_a_private_temporary_folder(folder: Path) -> None:
    server = EmbeddedPostgres(folder / ("deep" * 25), durable=False)
    with server:
        assert query(server, "SELECT 1") == 1
        sockets = server.sockets
        assert not sockets.is_relative_to(folder)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    server.remove()
    assert not sockets.exists()


def test_a_temporary_socket_folder_swept_away_is_made_anew(folder: Path) -> None:
    server = EmbeddedPostgres(folder / ("deep" * 25), durable=False)
    server.start()
    write_rows(server)
    server.stop()
    (server.sockets).rmdir()
    server.sockets.parent.rmdir()
    server.start()
    assert query(server, "SELECT count(*) FROM kept") == 1000
    server.remove()


def test_a_pid_file_naming_an_unrelated_process_is_not_believed(server: EmbeddedPostgres) -> None:
    write_rows(server)
    server.stop()
    data = server.folder.postgres.resolve()
    ours = str(os.getpid())
    (data / "postmaster.pid").write_text(f"{ours}\n{data}\n1\n5432\n{server.sockets}\n\n1 1\nready\n")
    (server.sockets / ".s.PGSQL.5432.lock").write_text(f"{ours}\n{data}\n1\n5432\n{server.sockets}\n")
    assert server.process() is None
    server.start()
    assert query(server, "SELECT count(*) FROM kept") == 1000


def test_an_initialisation_that_was_killed_is_begun_anew(folder: Path) -> None:
    half = folder / "home" / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(folder / "home", durable=False)
    with server:
        assert query(server, "SELECT 1") == 1
    assert not half.exists()
    server.remove()


@contextmanager
def changed(file: Path, text: str | None) -> Iterator[None]:
    """Replace a file's content, or delete the file, for a while."""
    before = file.read_text()
    file.unlink() if text is None else file.write_text(text)
    yield
    file.write_text(before)


def test_data_of_another_major_version_are_refused_and_left_alone(server: EmbeddedPostgres) -> None:
    server.stop()
    refused = pytest.raises(StackError, match=r"written by PostgreSQL 16, this release brings 18.*untouched")
    with changed(server.folder.postgres / "PG_VERSION", "16\n"), refused:
        server.start()


def test_a_folder_without_data_in_their_place_is_refused(server: EmbeddedPostgres) -> None:
    server.stop()
    refused = pytest.raises(StackError, match="PG_VERSION is missing")
    with changed(server.folder.postgres / "PG_VERSION", None), refused:
        server.start()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(server: EmbeddedPostgres) -> None:
    server.stop()
    refused = pytest.raises(StackError, match=r"(?s)did not start.*untouched.*no_such_setting")
    with changed(server.folder.postgres / "postgresql.conf", "no_such_setting = 1\n"), refused:
        server.start()


def test_a_home_that_is_a_file_is_named(folder: Path) -> None:
    (folder / "home").write_text("in the way")
    with pytest.raises(StackError, match=r"home: a file of that name is in the way.*SEEDTEST_HOME"):
        EmbeddedPostgres(folder / "home").start()


def test_a_home_below_a_file_is_named(folder: Path) -> None:
    (folder / "file").write_text("in the way")
    with pytest.raises(StackError, match=r"file/home: a part of the path is a file"):
        EmbeddedPostgres(folder / "file" / "home").start()


@pytest.mark.skipif(AS_ROOT, reason="root may write anywhere")
def test_a_home_that_this_user_may_not_write_to_is_named(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o500)
    with pytest.raises(StackError, match="this user may not write there"):
        EmbeddedPostgres(folder / "closed" / "home").start()


@pytest.mark.skipif(not AS_ROOT, reason="only root's PostgreSQL runs as another user")
def test_as_root_data_below_a_closed_folder_go_elsewhere_and_are_removed_from_there(folder: Path) -> None:
    folder.chmod(0o700)
    said: list[str] = []
    server = EmbeddedPostgres(folder / "home", durable=False, say=said.append)
    with server:
        write_rows(server)
    data = server.folder.postgres.resolve()
    assert data.is_relative_to(SYSTEM_DATA)
    assert [str(SYSTEM_DATA) in line for line in said] == [True]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with server:
        assert query(server, "SELECT count(*) FROM kept") == 1000
        process = server.process()
        assert process is not None
        assert process.username() == "seedtest-pg"
    server.remove()
    assert not data.parent.exists()
    assert not server.folder.postgres.is_symlink()


def test_data_that_are_gone_are_not_replaced_by_empty_ones(folder: Path) -> None:
    home = folder / "home"
    home.mkdir()
    (home / "postgres").symlink_to(folder / "elsewhere" / "data")
    with pytest.raises(StackError, match=r"data are gone.*elsewhere/data.*delete the link"):
        EmbeddedPostgres(home).start()


def test_no_process_is_left_behind(server: EmbeddedPostgres) -> None:
    data = server.folder.postgres.resolve()
    server.stop()
    assert [p.info for p in psutil.process_iter(["name", "cwd"]) if p.info["cwd"] == str(data)] == []
