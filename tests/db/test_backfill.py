"""The ledger of a backfill: committed note by note, resumed, restarted, through a restart of the database."""

import datetime as dt
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.backfill import FEATURES, plan_backfill
from seedtest.db.backfill import Ledger, WindowStatus

TODAY = dt.date(2026, 11, 5)
PLAN = plan_backfill(FEATURES, dt.date(2026, 1, 1), dt.date(2026, 1, 9), window_days=4, today=TODAY)


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    made = Ledger(engine, PLAN)
    made.open()
    return made


def statuses(ledger: Ledger) -> list[str]:
    return [entry.status.value for entry in ledger.entries()]


def test_a_ledger_holds_the_windows_in_order_all_of_them_pending(ledger: Ledger, engine: Engine) -> None:
    assert [entry.window for entry in ledger.entries()] == list(PLAN.windows)
    assert statuses(ledger) == ["pending"] * 3
    other = plan_backfill(FEATURES, dt.date(2026, 1, 1), dt.date(2026, 1, 9), window_days=5, today=TODAY)
    assert Ledger(engine, other).entries() == []


def test_opening_again_changes_nothing(ledger: Ledger) -> None:
    ledger.note(PLAN.windows[0], WindowStatus.DONE, flow_run_id="run-1")
    before = ledger.entries()
    ledger.open()
    assert ledger.entries() == before


def test_a_note_is_seen_by_others_at_once(ledger: Ledger, engine: Engine) -> None:
    noted = ledger.note(PLAN.windows[1], WindowStatus.FAILED, flow_run_id="run-2", reason="Failed: no room")
    assert Ledger(engine, PLAN).entries()[1] == noted
    assert (noted.status, noted.flow_run_id, noted.reason) == ("failed", "run-2", "Failed: no room")
    assert statuses(ledger) == ["pending", "failed", "pending"]


def test_a_turn_is_the_same_until_something_is_noted_then_another(ledger: Ledger, engine: Engine) -> None:
    window = PLAN.windows[0]
    first = ledger.turn(ledger.entries()[0])
    assert Ledger(engine, PLAN).turn(ledger.entries()[0]) == first
    assert first.startswith(f"backfill-{PLAN.id}-2026-01-01-")
    ledger.note(window, WindowStatus.RUNNING, flow_run_id="run-1")
    second = ledger.turn(ledger.note(window, WindowStatus.PENDING, flow_run_id="run-1"))
    turns = {first, second, *(ledger.turn(entry) for entry in ledger.entries())}
    assert len(turns) == 4


def test_a_restart_leaves_what_was_done_after_it_was_asked_for(ledger: Ledger, engine: Engine) -> None:
    ledger.note(PLAN.windows[0], WindowStatus.DONE, flow_run_id="run-1")
    ledger.note(PLAN.windows[1], WindowStatus.FAILED, flow_run_id="run-2", reason="no room")
    with engine.connect() as connection:
        asked_at = connection.scalar(sa.text("SELECT clock_timestamp()"))
    assert isinstance(asked_at, dt.datetime)
    ledger.note(PLAN.windows[2], WindowStatus.DONE, flow_run_id="run-3")
    ledger.restart(asked_at)
    assert statuses(ledger) == ["pending", "pending", "done"]
    assert [entry.reason for entry in ledger.entries()] == [None] * 3


def test_a_connection_that_was_lost_is_replaced(ledger: Ledger, engine: Engine, database_url: str) -> None:
    others = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> :me"
    )
    assert len(ledger.entries()) == 3
    from_outside = sa.create_engine(engine.url, poolclass=sa.NullPool)
    with from_outside.begin() as connection:
        me = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        connection.execute(others, {"name": engine.url.database, "me": me})
    ledger.note(PLAN.windows[0], WindowStatus.DONE, flow_run_id="run-1")
    assert statuses(ledger) == ["done", "pending", "pending"]


def test_a_database_that_refuses_for_a_while_is_waited_for(
    ledger: Ledger, engine: Engine, database_url: str
) -> None:
    name = engine.url.database
    elsewhere = sa.create_engine(engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    engine.dispose()
    with elsewhere.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        opening = threading.Timer(
            1.0, lambda: connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        )
        opening.start()
        ledger.note(PLAN.windows[0], WindowStatus.DONE, flow_run_id="run-1")
        opening.join()
    elsewhere.dispose()
    assert statuses(ledger) == ["done", "pending", "pending"]
