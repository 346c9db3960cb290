"""Housekeeping deletes what has served, in batches, and nothing that is read."""

import datetime as dt
import threading
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.db.answer_packs import LISTS
from seedtest.db.calibrations import load_abilities
from seedtest.db.locks import stage_lock
from seedtest.db.pruning import Prunable, count_prunable, prunables, prune
from seedtest.db.schema import AnswerPack, BackfillWindow, Base, InputDigest, MirtAbility, ThetaRequest
from seedtest.settings import Settings

TODAY = dt.date(2026, 11, 5)
SETTINGS = Settings(ability_retention_days=400, pack_retention_days=180, request_retention_days=90)


def ago(days: float) -> dt.datetime:
    return dt.datetime(2026, 11, 5, tzinfo=dt.UTC) - dt.timedelta(days=days)


def what(model: type[Base]) -> Prunable:
    (found,) = (each for each in prunables(SETTINGS, TODAY) if each.model is model)
    return found


def insert(engine: Engine, model: type[Base], *rows: Mapping[str, Any]) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(model), list(rows))


def ability(user_id: str, days: float, **other: object) -> dict[str, object]:
    row = {"user_id": user_id, "version": "v1", "source": "calibration", "theta": days / 100, "model": "2PL"}
    return row | {"as_of": ago(days), "fitted_at": ago(days)} | other


def ages(engine: Engine) -> list[tuple[str, float]]:
    query = "SELECT user_id, theta * 100 FROM mirt_ability ORDER BY 1, 2"
    with engine.connect() as connection:
        return [(user_id, round(days, 3)) for user_id, days in connection.execute(sa.text(query))]


def latest(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT * FROM mirt_ability_latest ORDER BY user_id")))


@pytest.fixture
def abilities(engine: Engine) -> Engine:
    insert(
        engine,
        MirtAbility,
        *(ability("ann", days) for days in (500, 450, 401, 399, 10)),
        *(ability("bob", days) for days in (700, 600)),
        # As old as each other, on two scales: both are the newest.
        ability("cem", 600),
        *(ability("cem", 500, version=version) for version in ("v1", "v2")),
        ability("dot", 400.0001),
        ability("dot", 400),
    )
    return engine


def test_of_each_learner_the_newest_ability_before_the_horizon_and_all_later_stay(abilities: Engine) -> None:
    before = latest(abilities)
    pruned = prune(abilities, what(MirtAbility))
    assert (pruned.rows, pruned.postponed) == (4, None)
    assert ages(abilities) == [
        ("ann", 10),
        ("ann", 399),
        ("ann", 401),
        ("bob", 600),
        ("cem", 500),
        ("cem", 500),
        ("dot", 400),
        ("dot", 400),
    ]
    assert latest(abilities) == before


def test_the_ability_in_force_at_the_end_of_every_week_that_is_kept_stays(abilities: Engine) -> None:
    def in_force(days: int) -> list[Any]:
        with abilities.connect() as connection:
            found = load_abilities(connection, before=TODAY - dt.timedelta(days=days))
        return found.group_by("user_id", maintain_order=True).last().sort("user_id").rows()

    kept = {days: in_force(days) for days in range(401)}
    prune(abilities, what(MirtAbility))
    assert {days: in_force(days) for days in range(401)} == kept


def pack(number: int, days: float) -> dict[str, object]:
    counts = [column.name for column in Base.metadata.tables["answer_pack"].c if column.name.startswith("n_")]
    return dict.fromkeys(counts, 0) | {
        "result_id": uuid.UUID(int=number),
        "row_version": 1,
        "bucket": number * 997 % 4096,
        "user_id": f"u{number}",
        "session_id": f"s{number}",
        "completed_at": ago(days),
        **dict.fromkeys(LISTS, ""),
    }


@pytest.fixture
def packs(engine: Engine) -> Engine:
    insert(engine, AnswerPack, *(pack(number, 180.01 if number < 20 else 180) for number in range(25)))
    return engine


def n_rows(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0)


@pytest.mark.parametrize("batch_rows", [7, 20, 10_000])
def test_old_packs_go_whatever_the_batch(packs: Engine, batch_rows: int) -> None:
    with packs.connect() as connection:
        assert count_prunable(connection, what(AnswerPack)) == 20
    assert prune(packs, what(AnswerPack), batch_rows=batch_rows).rows == 20
    assert n_rows(packs, "answer_pack") == 5
    assert prune(packs, what(AnswerPack)).rows == 0


@pytest.mark.parametrize("reader", ["aggregate-features-daily", "compute-daily-kpis"])
def test_packs_and_digests_stay_while_a_stage_that_reads_them_is_at_work(packs: Engine, reader: str) -> None:
    insert(packs, InputDigest, digest(200))
    with stage_lock(packs, reader, wait_secs=0):
        for model in (AnswerPack, InputDigest):
            pruned = prune(packs, what(model))
            assert pruned.rows == 0
            assert f"Stage {reader} is already running" in str(pruned.postponed)
    assert (n_rows(packs, "answer_pack"), n_rows(packs, "input_digest")) == (25, 1)
    assert prune(packs, what(AnswerPack)).rows == 20


def test_a_stage_that_waits_has_its_turn_between_two_batches(packs: Engine) -> None:
    at_work, over = threading.Event(), threading.Event()

    def read() -> None:
        with stage_lock(packs, "compute-daily-kpis", wait_secs=30):
            at_work.set()
            over.wait(30)

    reader = threading.Thread(target=read)
    with stage_lock(packs, "compute-daily-kpis", wait_secs=0):
        reader.start()
    interrupted = prune(packs, what(AnswerPack), batch_rows=1)
    assert at_work.wait(30)
    assert interrupted.rows < 20
    assert interrupted.postponed
    over.set()
    reader.join()
    assert prune(packs, what(AnswerPack)).rows == 20 - interrupted.rows


def digest(days: int) -> dict[str, object]:
    row: dict[str, object] = {"stage": "compute-daily-kpis", "bucket": 3, "user_id": "ann", "digest": 7}
    return row | {"date": TODAY - dt.timedelta(days=days)}


def test_old_digests_go(engine: Engine) -> None:
    insert(engine, InputDigest, digest(179), digest(180), digest(181))
    assert prune(engine, what(InputDigest)).rows == 1
    assert n_rows(engine, "input_digest") == 2


def test_backfills_of_more_than_400_days_ago_go(engine: Engine) -> None:
    rows = [
        {"backfill_id": name, "first_day": TODAY, "last_day": TODAY, "flow": "x", "updated_at": ago(days)}
        for name, days in (("old", 400.01), ("young", 400))
    ]
    insert(engine, BackfillWindow, *rows)
    assert prune(engine, what(BackfillWindow)).rows == 1
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT backfill_id FROM backfill_window")) == "young"


def test_settled_sessions_go_and_those_that_wait_or_are_parked_stay(engine: Engine) -> None:
    rows = [
        {"session_id": f"{status}-{days}", "user_id": "ann", "status": status, "updated_at": ago(days)}
        for status in ("pending", "parked", "done", "noop")
        for days in (89, 91)
    ]
    insert(engine, ThetaRequest, *rows)
    assert prune(engine, what(ThetaRequest)).rows == 2
    with engine.connect() as connection:
        left = set(connection.scalars(sa.text("SELECT session_id FROM theta_request")))
    assert left == {row["session_id"] for row in rows} - {"done-91", "noop-91"}


def test_a_row_that_changes_while_others_are_deleted_stays(engine: Engine) -> None:
    row = {"user_id": "ann", "status": "done", "updated_at": ago(100)}
    insert(engine, ThetaRequest, *({"session_id": f"s{n}", **row} for n in range(3)))
    with engine.connect() as other:
        other.execute(sa.text("UPDATE theta_request SET status = 'pending' WHERE session_id = 's1'"))
        pruned: list[int] = []
        pruning = threading.Thread(target=lambda: pruned.append(prune(engine, what(ThetaRequest)).rows))
        pruning.start()
        # The deletion waits for the row that is being changed.
        pruning.join(0.5)
        other.commit()
        pruning.join(30)
    assert pruned == [2]
    assert n_rows(engine, "theta_request") == 1
