"""One run of a stage at a time: who waits, who is named, and when the lock ends."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import OperationalError

from seedtest.db.engine import create_engine
from seedtest.db.locks import only_while_held, stage_lock
from seedtest.errors import LockTimeoutError

STAGE = "mirt-calibrate"


@contextmanager
def engine_named(url: str, name: str) -> Iterator[Engine]:
    engine = create_engine(url, application_name=name)
    try:
        yield engine
    finally:
        engine.dispose()


def try_lock(engine: Engine, stage: str = STAGE, wait_secs: float = 0) -> None:
    with stage_lock(engine, stage, wait_secs=wait_secs):
        pass


def end_connections(engine: Engine, application_name: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
                " AND datname = current_database()"
            ),
            {"name": application_name},
        )


def test_the_holder_is_named_to_the_run_that_gives_up(engine: Engine, database_url: str) -> None:
    with (
        engine_named(database_url, "mirt-calibrate run wise-owl") as holder,
        stage_lock(holder, STAGE, wait_secs=0),
        pytest.raises(
            LockTimeoutError, match=r"mirt-calibrate.*'mirt-calibrate run wise-owl'.*LOCK_WAIT_SECS"
        ),
    ):
        try_lock(engine)
    try_lock(engine)


def test_a_run_gives_up_only_after_the_time_it_may_wait(engine: Engine) -> None:
    with stage_lock(engine, STAGE, wait_secs=0):
        start = time.monotonic()
        with pytest.raises(LockTimeoutError, match=r"did for 0\.6 s"):
            try_lock(engine, wait_secs=0.6)
        assert 0.5 < time.monotonic() - start < 5


def wait_for(text: str, lines: list[str]) -> None:
    deadline = time.monotonic() + 20
    while not any(text in line for line in lines):
        assert time.monotonic() < deadline, f"{text!r} was never logged"
        time.sleep(0.02)


def test_a_waiting_run_says_so_and_goes_on_when_the_other_ends(
    engine: Engine, database_url: str, core_log: list[str]
) -> None:
    with ThreadPoolExecutor(1) as pool, engine_named(database_url, "the holder") as holder:
        with stage_lock(holder, STAGE, wait_secs=0):
            waiting = pool.submit(try_lock, engine, wait_secs=30)
            wait_for("Waiting up to 30 s for mirt-calibrate, held by 'the holder'", core_log)
            assert not waiting.done()
        waiting.result(timeout=10)


def test_only_one_of_many_is_inside_at_any_time(engine: Engine) -> None:
    inside, most = 0, 0
    counting = threading.Lock()

    def run() -> None:
        nonlocal inside, most
        with stage_lock(engine, STAGE, wait_secs=30):
            with counting:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with counting:
                inside -= 1

    with ThreadPoolExecutor(4) as pool:
        for waiting in [pool.submit(run) for _ in range(4)]:
            waiting.result(timeout=30)
    assert (inside, most) == (0, 1)


def test_stages_do_not_hold_up_one_another_nor_other_databases(
    engine: Engine, empty_database_url: str
) -> None:
    with ExitStack() as stack:
        other_database = stack.enter_context(engine_named(empty_database_url, "elsewhere"))
        for stage in ("mirt-calibrate", "compute-daily-kpis", "aggregate-features-daily"):
            stack.enter_context(stage_lock(engine, stage, wait_secs=0))
        stack.enter_context(stage_lock(other_database, STAGE, wait_secs=0))


def test_a_failing_run_leaves_the_lock(engine: Engine) -> None:
    with pytest.raises(ValueError, match="bad answers"), stage_lock(engine, STAGE, wait_secs=0):
        raise ValueError("bad answers")
    try_lock(engine)


def test_the_lock_ends_with_its_holders_connection_and_the_holder_learns_of_it(
    engine: Engine, database_url: str, core_log: list[str]
) -> None:
    with engine_named(database_url, "doomed") as holder:
        with stage_lock(holder, STAGE, wait_secs=0):
            end_connections(engine, "doomed")
            try_lock(engine, wait_secs=10)
        assert any("The lock of mirt-calibrate ended with its database" in line for line in core_log)
        try_lock(holder)


def test_a_run_that_has_lost_its_lock_gets_no_new_connection(engine: Engine, database_url: str) -> None:
    with (
        engine_named(database_url, "doomed") as holder,
        stage_lock(holder, STAGE, wait_secs=0) as pid,
        only_while_held(holder, STAGE, pid),
    ):
        with holder.connect() as first, holder.connect() as second:
            assert first.scalar(sa.text("SELECT 1")) == second.scalar(sa.text("SELECT 1"))
        end_connections(engine, "doomed")
        with stage_lock(engine, STAGE, wait_secs=10):
            for _ in range(2):
                with pytest.raises(OperationalError, match="the lock of mirt-calibrate ended"):
                    holder.connect()


def work_on(engine: Engine, lose_connections: Callable[[], None]) -> None:
    with stage_lock(engine, STAGE, wait_secs=0), engine.connect() as connection:
        lose_connections()
        connection.execute(sa.text("SELECT 'work'"))


def test_a_lost_lock_does_not_hide_the_runs_own_error(engine: Engine, database_url: str) -> None:
    with (
        engine_named(database_url, "doomed") as holder,
        pytest.raises(OperationalError, match="SELECT 'work'"),
    ):
        work_on(holder, lambda: end_connections(engine, "doomed"))


def test_a_holder_of_another_role_is_named_too(engine: Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE ROLE plain LOGIN"))
    as_plain = make_url(database_url).set(username="plain").render_as_string()
    try:
        with (
            engine_named(as_plain, "another role") as plain,
            stage_lock(engine, STAGE, wait_secs=0),
            pytest.raises(LockTimeoutError, match=r"'pytest' \(database process \d+\)"),
        ):
            try_lock(plain)
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP ROLE plain"))
