"""θ after a session under load: few round trips, many at once, calibrations beside them, long histories."""

import datetime as dt
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import permutations

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db.attempts import last_days, load_attempts
from seedtest.db.calibrations import load_fit
from seedtest.db.online import READ, AbilityRow, Basis, TopicRow, read_basis, write_thetas
from seedtest.irt import Prior
from seedtest.online import ThetaUpdate, update_theta, update_thetas
from seedtest.settings import load_settings
from seedtest.theta import window_theta
from seedtest.windows import first_day
from tests.cohorts import CALIBRATED
from tests.online_answers import DAY, NOW, USER_IDS, abilities, add_cohort, publish, sit, topics

SETTINGS = load_settings()
MANY_LEARNERS = """
INSERT INTO exam_results (session_id, user_id, result_json)
SELECT n, 'u' || mod(n, 2000), '{"questions": [{"question_id": "Q1", "is_correct": true}]}'
FROM generate_series(1, 20000) AS n
"""
AS_OF = NOW - DAY
PATIENCE_SECS = 20.0


@pytest.fixture(autouse=True)
def fit(engine: Engine) -> None:
    """A fit in force."""
    with engine.begin() as connection:
        publish(connection)


def update(connection: Connection, user_id: str = "ann") -> ThetaUpdate:
    return update_theta(connection, user_id, settings=SETTINGS, lookback_days=30, now=NOW)


def read(connection: Connection, user_id: str = "ann") -> Basis:
    basis = read_basis(connection, [user_id], NOW - 30 * DAY, NOW + DAY)
    assert basis is not None
    return basis


def write(connection: Connection, basis: Basis, theta: float) -> float:
    """Write a θ for Ann and her algebra; return the one that is stored."""
    ability, topic = AbilityRow("ann", theta, 0.5, AS_OF), TopicRow("ann", "algebra", theta, 0.5, 3, AS_OF)
    return write_thetas(connection, basis, [ability], [topic])["ann"].theta


def stored(connection: Connection) -> set[float]:
    """The θs of Ann and her algebra."""
    return {row[4] for row in abilities(connection)} | {row[2] for row in topics(connection)}


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_waiting(engine: Engine) -> bool:
    """Whether somebody waits for a lock of this database."""
    query = (
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database()))"
    )
    with engine.connect() as connection:
        return bool(connection.scalar(sa.text(query)))


# -- round trips ---------------------------------------------------------------------------------------


def test_an_update_takes_two_statements_however_many_learners(engine: Engine) -> None:
    statements: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    with engine.begin() as connection:
        add_cohort(connection)
        statements.clear()
        updates = update_thetas(connection, USER_IDS, settings=SETTINGS, lookback_days=30, now=NOW)
    assert {update.status for update in updates} == {"ok"}
    assert len(statements) == 2


@pytest.mark.parametrize("n_learners", [1, 50])
def test_answers_are_found_by_the_index_of_learners(engine: Engine, n_learners: int) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(MANY_LEARNERS))
        connection.execute(sa.text("ANALYZE exam_results"))
        values = {
            "user_ids": [f"u{n}" for n in range(n_learners)],
            "since": NOW - 30 * DAY,
            "until": NOW + 300 * DAY,
        }
        query = READ.text.rsplit(";", maxsplit=1)[-1]
        plan = "\n".join(connection.scalars(sa.text(f"EXPLAIN {query}"), values))
    assert "ix_exam_results_user_id" in plan
    assert "Seq Scan on exam_results" not in plan


# -- many at once --------------------------------------------------------------------------------------


def test_of_two_updates_at_once_the_one_that_began_later_stands(engine: Engine) -> None:
    with engine.connect() as early, engine.connect() as late:
        earlier, later = read(early), read(late)
        assert write(late, later, 0.7) == 0.7
        late.commit()
        assert write(early, earlier, 0.1) == 0.7
        early.commit()
        assert stored(early) == {0.7}


def test_an_update_that_waited_for_another_gives_way_to_it_all_the_same(engine: Engine) -> None:
    with engine.connect() as early, engine.connect() as late, ThreadPoolExecutor(1) as pool:
        earlier, later = read(early), read(late)
        write(late, later, 0.7)
        waiting = pool.submit(write, early, earlier, 0.1)
        time.sleep(0.1)
        late.commit()
        assert waiting.result(PATIENCE_SECS) == 0.7
        early.commit()
        assert stored(early) == {0.7}


def test_updates_side_by_side_neither_block_each_other_for_good_nor_double_a_row(engine: Engine) -> None:
    with engine.begin() as connection:
        add_cohort(connection)
        alone = update_thetas(connection, USER_IDS, settings=SETTINGS, lookback_days=30, now=NOW)
        expected = [row[:-1] for row in abilities(connection)], [row[:-1] for row in topics(connection)]
        connection.execute(sa.text("TRUNCATE mirt_ability, student_topic_theta"))
    barrier = threading.Barrier(4)

    def work(orders: list[tuple[str, ...]]) -> set[float | None]:
        barrier.wait(PATIENCE_SECS)
        found = set()
        for order in orders:
            with engine.begin() as connection:
                updates = update_thetas(connection, order, settings=SETTINGS, lookback_days=30, now=NOW)
            found |= {update.theta for update in updates}
        return found

    orders = list(permutations(USER_IDS))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, [orders[k::4] for k in range(4)]))
    assert found == [{update.theta for update in alone}] * 4
    with engine.connect() as connection:
        after = [row[:-1] for row in abilities(connection)], [row[:-1] for row in topics(connection)]
    assert after == expected


# -- a calibration beside them -------------------------------------------------------------------------


def test_a_calibration_comes_into_force_after_the_updates_under_way(engine: Engine) -> None:
    def calibrate() -> None:
        with engine.begin() as connection:
            publish(connection, prior=Prior(-1.0, 0.5), version="v2", fitted_at=NOW)

    with engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        sit(connection, Q1=True)
        connection.commit()
        before = update(connection)
        calibrating = pool.submit(calibrate)
        until(lambda: is_waiting(engine))
        # What is read now is still of one fit: the calibration has written, but cannot commit.
        assert update(connection) == before
        connection.commit()
        calibrating.result(PATIENCE_SECS)
        assert topics(connection) == []
        after = update(connection)
        assert (before.version, after.version) == ("v1", "v2")
        assert [row[6] for row in topics(connection)] == ["v2"]


def test_an_update_waits_for_a_calibration_and_uses_it(engine: Engine) -> None:
    def updating() -> ThetaUpdate:
        with engine.begin() as connection:
            return update(connection)

    with engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        sit(connection, Q1=True)
        connection.commit()
        publish(connection, prior=Prior(-1.0, 0.5), version="v2", fitted_at=NOW)
        waiting: Future[ThetaUpdate] = pool.submit(updating)
        until(lambda: is_waiting(engine))
        connection.commit()
        assert waiting.result(PATIENCE_SECS).version == "v2"
        assert {row[1] for row in abilities(connection)} == {"v2"}


# -- long histories ------------------------------------------------------------------------------------

A_HUNDRED_THOUSAND = """
INSERT INTO exam_results (session_id, user_id, result_json, created_at, updated_at)
SELECT 'long-' || n, 'ann', jsonb_build_object('questions', (
    SELECT jsonb_agg(jsonb_build_object(
        'question_id', 'Q' || 1 + (n + k) % 9, 'is_correct', (n * k) % 3 = 0, 'topic', 'topic' || k % 4
    )) FROM generate_series(1, 100) AS k
)), moment, moment
FROM generate_series(1, 1000) AS n, LATERAL (SELECT :now - n * interval '37 minutes' AS moment) AS m
"""


@pytest.mark.heavy
@pytest.mark.parametrize("repeats", ["first", "all"])
def test_a_learner_with_a_hundred_thousand_attempts(engine: Engine, repeats: str) -> None:
    settings = load_settings(mirt_repeats=repeats)
    with engine.begin() as connection:
        connection.execute(sa.text(A_HUNDRED_THOUSAND), {"now": NOW})
        found = update_theta(connection, "ann", settings=settings, lookback_days=30, now=NOW)
        fit, attempts = load_fit(connection), load_attempts(connection, last_days(NOW.date(), 30))
    assert attempts.height == 100_000
    window = pl.DataFrame(
        {"user_id": ["ann"], "first_day": [first_day(NOW.date(), 30)], "last_day": [NOW.date()]}
    )
    (expected,) = window_theta(
        attempts, window, fit.items, fit.prior, settings.mirt_repeats, by=["user_id"]
    ).to_dicts()
    assert (found.theta, found.se, found.as_of) == (expected["theta"], expected["se"], expected["newest_at"])
    on_items = attempts.filter(pl.col("item_id").is_in(list(CALIBRATED)))
    assert expected["n"] == (len(CALIBRATED) if repeats == "first" else on_items.height)


def test_a_reading_is_stamped_before_what_it_sees(engine: Engine) -> None:
    with engine.connect() as connection:
        before: dt.datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        assert read(connection).read_at > before
        sit(connection, completed_at=AS_OF, Q1=True)
        after: dt.datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        assert read(connection).read_at > after
