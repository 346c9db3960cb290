"""The database as a stage's run has it: connections enough, none beside another run."""

from contextlib import ExitStack

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from flows.stage import stage
from seedtest.errors import DatabaseError
from seedtest.settings import Settings

STAGE = "compute-daily-kpis"
ENDED = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE :run"


def pid(connection: Connection) -> int:
    return int(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())


def pids(engine: Engine, n: int) -> set[int]:
    """The database processes of so many connections, open at a time."""
    with ExitStack() as held:
        return {pid(held.enter_context(engine.connect())) for _ in range(n)}


@pytest.mark.usefixtures("engine")
def test_a_run_has_the_connections_it_asks_for_and_keeps_them(database_url: str) -> None:
    settings = Settings(database_url=database_url, batch_connections=20)
    with stage(STAGE, settings) as engine:
        assert len(pids(engine, 21)) == 21
        assert pids(engine, 21) == pids(engine, 21)


def lose_connections(engine: Engine, database_url: str) -> None:
    with stage(STAGE, Settings(database_url=database_url)) as mine:
        pids(mine, 2)
        with engine.begin() as other:
            assert other.execute(sa.text(ENDED), {"run": f"{STAGE} run %"}).scalar_one() >= 3
        pids(mine, 1)


def test_a_run_whose_connections_are_lost_ends_told_what_to_do(engine: Engine, database_url: str) -> None:
    with pytest.raises(DatabaseError, match=rf"{STAGE} off.*the lock of {STAGE} ended.*run it again"):
        lose_connections(engine, database_url)
