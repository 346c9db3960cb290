"""The θ queue: what a report does, what a drain settles, and that nothing is lost, doubled or waited for."""

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from seedtest.db.engine import create_engine
from seedtest.db.theta_requests import (
    Generation,
    RequestStatus,
    SessionRequest,
    Settlement,
    any_due,
    close_generation,
    open_generation,
    settle,
)
from seedtest.errors import DataError, RequestError
from seedtest.theta_drain import Drained, drain
from seedtest.theta_queue import find_request, queue_state, replay
from tests.flows.snapshots import scalar
from tests.theta_sessions import (
    BAD,
    add_sessions,
    done_without_theta,
    let_waits_end,
    moments_ago,
    refuse_bad,
    relent,
    report,
    settings,
    statuses,
)

ROOT = Path(__file__).resolve().parents[1]
PENDING, DONE, NOOP, PARKED = RequestStatus
SCRIPT = """
from seedtest.db.engine import create_engine
from seedtest.settings import load_settings
from seedtest.theta_drain import Drained, drain

settings = load_settings()
drain(create_engine(settings.require_database_url(), application_name="drain in a process"), settings)
"""


def found(engine: Engine, session_id: str) -> SessionRequest:
    with engine.connect() as connection:
        request = find_request(connection, session_id)
    assert request is not None
    return request


def wait_until(holds: Callable[[], bool], secs: float = 60) -> None:
    deadline = time.monotonic() + secs
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def settled(engine: Engine, session_id: str, status: RequestStatus, as_of: dt.datetime | None = None) -> None:
    with engine.begin() as connection:
        settle(connection, [Settlement(session_id, status, ability_as_of=as_of)])


# -- reports ---------------------------------------------------------------------------------------


def test_a_report_waits(engine: Engine) -> None:
    accepted = report(engine, "ann")
    assert accepted.is_new
    assert accepted.request == found(engine, "s-ann")
    assert (accepted.request.status, accepted.request.attempts) == (PENDING, 0)


def test_a_report_again_while_it_waits_is_the_same_request(engine: Engine) -> None:
    first = report(engine, "ann")
    again = report(engine, "ann")
    assert not again.is_new
    assert again.request == first.request


@pytest.mark.parametrize(("minutes_later", "opens"), [(-1, False), (0, False), (1, True)])
def test_a_done_session_opens_again_for_newer_answers_only(
    minutes_later: int, opens: bool, engine: Engine
) -> None:
    as_of = moments_ago(60)
    report(engine, "ann", completed_at=as_of)
    settled(engine, "s-ann", DONE, as_of)
    again = report(engine, "ann", completed_at=as_of + dt.timedelta(minutes=minutes_later))
    assert again.is_new is opens
    assert again.request.status is (PENDING if opens else DONE)
    assert again.request.attempts == (0 if opens else 1)


def test_a_noop_opens_again_and_a_parked_session_waits_for_a_person(engine: Engine) -> None:
    for user_id, status in (("ann", NOOP), ("bob", PARKED)):
        report(engine, user_id)
        settled(engine, f"s-{user_id}", status)
    assert report(engine, "ann").request.status is PENDING
    assert report(engine, "bob", completed_at=moments_ago(0)).request.status is PARKED


def test_a_session_of_another_learner_is_refused(engine: Engine) -> None:
    report(engine, "ann", "s-1")
    with pytest.raises(RequestError, match="s-1 was reported for another learner") as refused:
        report(engine, "eve", "s-1")
    assert refused.value.status == 409
    assert found(engine, "s-1").user_id == "ann"


def test_nobody_has_heard_of_a_session_that_was_not_reported(engine: Engine) -> None:
    with engine.connect() as connection:
        assert find_request(connection, "s-1") is None


def test_the_queue_tells_how_long_the_oldest_has_waited(engine: Engine) -> None:
    with engine.connect() as connection:
        state = queue_state(connection)
        assert (state.pending, state.parked, state.oldest_pending_secs) == (0, 0, None)
    for user_id in ("ann", "bob", "cid"):
        report(engine, user_id)
    settled(engine, "s-cid", PARKED)
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE theta_request SET requested_at = now() - interval '90 s' WHERE user_id = 'bob'")
        )
    with engine.connect() as connection:
        state = queue_state(connection)
    assert (state.pending, state.parked) == (2, 1)
    assert state.oldest_pending_secs == pytest.approx(90, abs=10)


# -- generations -----------------------------------------------------------------------------------


def test_a_generation_is_closed_once(engine: Engine) -> None:
    with engine.begin() as connection:
        first = open_generation(connection)
        assert close_generation(connection, only=first)
        assert not close_generation(connection, only=first)
        second = open_generation(connection)
    assert second.number == first.number + 1
    assert second.opened_at > first.opened_at


def test_the_key_of_a_run_belongs_to_one_database() -> None:
    noon = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
    assert Generation(7, noon).key == "theta-7-20261101T120000.000000"
    seoul = noon.astimezone(dt.timezone(dt.timedelta(hours=9)))
    assert Generation(7, seoul).key == Generation(7, noon).key
    assert Generation(7, noon + dt.timedelta(microseconds=1)).key != Generation(7, noon).key


def test_a_lost_generation_is_said(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM theta_drain"))
        with pytest.raises(DataError, match="INSERT INTO theta_drain"):
            open_generation(connection)


# -- drains ----------------------------------------------------------------------------------------


def test_every_done_request_points_at_its_theta(engine: Engine) -> None:
    users = [f"user-{'x' * i}" for i in range(12)]
    at = moments_ago()
    add_sessions(engine, users, at)
    for user_id in users:
        report(engine, user_id)
    drained = drain(engine, settings(theta_batch_size=5))
    assert (drained.outcomes[DONE], drained.learners, drained.batches) == (12, 12, 3)
    assert statuses(engine) == {DONE: 12}
    assert done_without_theta(engine) == 0
    request = found(engine, f"s-{users[0]}")
    assert (request.ability_as_of, request.attempts, request.reason) == (at, 1, None)


def test_sessions_of_one_learner_are_computed_once(engine: Engine) -> None:
    add_sessions(engine, ["ann"])
    for number in range(4):
        report(engine, "ann", f"s-{number}")
    drained = drain(engine, settings())
    assert (drained.requests, drained.learners) == (4, 1)
    assert statuses(engine) == {DONE: 4}
    assert scalar(engine, "SELECT count(*) FROM mirt_ability") == 1


def test_a_learner_whose_sessions_fall_into_several_batches_is_counted_once(engine: Engine) -> None:
    add_sessions(engine, ["ann"])
    for number in range(4):
        report(engine, "ann", f"s-{number}")
    drained = drain(engine, settings(theta_batch_size=1))
    assert (drained.requests, drained.learners, drained.batches) == (4, 1, 4)


def test_a_learner_without_answers_is_a_noop_with_its_reason(engine: Engine) -> None:
    add_sessions(engine, ["ann"])
    report(engine, "stranger")
    assert drain(engine, settings()).outcomes[NOOP] == 1
    request = found(engine, "s-stranger")
    assert request.status is NOOP
    assert request.reason
    assert request.ability_as_of is None


def test_a_drain_closes_the_generation_first_even_when_nothing_waits(engine: Engine) -> None:
    with engine.connect() as connection:
        before = open_generation(connection)
    drained = drain(engine, settings())
    assert (drained.requests, drained.oldest_wait_secs) == (0, 0)
    with engine.connect() as connection:
        assert open_generation(connection).number == before.number + 1


def test_one_failing_learner_takes_no_other_with_it(engine: Engine) -> None:
    users = [*(f"user-{'x' * i}" for i in range(9)), BAD]
    add_sessions(engine, users)
    refuse_bad(engine)
    for user_id in users:
        report(engine, user_id)
    drained = drain(engine, settings())
    assert statuses(engine) == {DONE: 9, PENDING: 1}
    assert done_without_theta(engine) == 0
    assert drained.outcomes[PENDING] == 1
    request = found(engine, f"s-{BAD}")
    assert request.attempts == 1
    assert "the answers of this learner are odd" in (request.reason or "")
    assert "INSERT" not in (request.reason or "")


def test_what_failed_waits_longer_and_longer_then_is_parked_and_replayed(engine: Engine) -> None:
    add_sessions(engine, [BAD])
    refuse_bad(engine)
    report(engine, BAD)
    for attempt in (1, 2):
        assert drain(engine, settings(theta_max_attempts=3)).outcomes == {PENDING: 1}
        assert found(engine, f"s-{BAD}").attempts == attempt
        # Not yet: its time has not come.
        assert drain(engine, settings(theta_max_attempts=3)).requests == 0
        let_waits_end(engine)
    last = drain(engine, settings(theta_max_attempts=3))
    assert [(one.session_id, one.user_id) for one in last.parked] == [(f"s-{BAD}", BAD)]
    assert "odd" in last.parked[0].reason
    let_waits_end(engine)
    assert drain(engine, settings(theta_max_attempts=3)).requests == 0

    relent(engine)
    with engine.begin() as connection:
        assert replay(connection) == 1
    request = found(engine, f"s-{BAD}")
    assert (request.status, request.attempts) == (PENDING, 0)
    assert "odd" in (request.reason or "")
    assert drain(engine, settings()).outcomes == {DONE: 1}
    assert found(engine, f"s-{BAD}").reason is None
    assert done_without_theta(engine) == 0


def test_the_waits_double_up_to_an_hour(engine: Engine) -> None:
    report(engine, "ann")
    due_after_secs = {1: 30, 2: 60, 3: 120, 7: 1920, 8: 3600, 40: 3600}
    for attempts, secs in due_after_secs.items():
        for age_secs, is_due in ((secs - 5, False), (secs + 5, True)):
            with engine.begin() as connection:
                connection.execute(
                    sa.text(
                        "UPDATE theta_request SET attempts = :attempts,"
                        " updated_at = now() - make_interval(secs => :age_secs)"
                    ),
                    {"attempts": attempts, "age_secs": age_secs},
                )
                assert any_due(connection) is is_due, (attempts, age_secs)


def test_only_parked_sessions_are_replayed_and_the_others_are_named(engine: Engine) -> None:
    for user_id in ("ann", "bob", "cid"):
        report(engine, user_id)
    for user_id in ("ann", "bob"):
        settled(engine, f"s-{user_id}", PARKED)
    with engine.begin() as connection:
        with pytest.raises(DataError, match=r"s-cid \(pending\), s-x \(unknown\)"):
            replay(connection, ["s-ann", "s-cid", "s-x"])
        assert replay(connection, ["s-ann"]) == 1
    assert statuses(engine) == {PENDING: 2, PARKED: 1}


def test_a_database_that_goes_away_fails_the_drain_and_counts_no_try(
    engine: Engine, database_url: str
) -> None:
    add_sessions(engine, ["ann"])
    report(engine, "ann")
    doomed = create_engine(database_url, application_name="doomed drain")
    with engine.begin() as connection:
        # The drain gets as far as writing the θ, and waits there for its end.
        connection.execute(sa.text("LOCK TABLE mirt_ability IN SHARE MODE"))
        with ThreadPoolExecutor(1) as pool:
            draining = pool.submit(drain, doomed, settings())
            wait_until(lambda: end_waiting(engine, "doomed drain") is not None)
            with pytest.raises(OperationalError):
                draining.result(timeout=30)
    doomed.dispose()
    request = found(engine, "s-ann")
    assert (request.status, request.attempts) == (PENDING, 0)
    assert drain(engine, settings()).outcomes == {DONE: 1}


def end_waiting(engine: Engine, application_name: str) -> object:
    """End the connection of a program if it waits for a lock."""
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = :name AND wait_event_type = 'Lock'"
    )
    with engine.begin() as connection:
        return connection.scalar(sa.text(query), {"name": application_name})


# -- several drains at once ------------------------------------------------------------------------


@contextmanager
def drain_in_a_process(database_url: str, batch_size: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"DATABASE_URL": database_url, "THETA_BATCH_SIZE": str(batch_size)}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def slow_down(engine: Engine, secs: float) -> None:
    """Let the database take so long over every θ that a drain can be caught at it; count the writes."""
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE written (user_id text)"))
        connection.execute(
            sa.text(
                "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" PERFORM pg_sleep({secs}); INSERT INTO written VALUES (NEW.user_id); RETURN NEW; END $$"
            )
        )
        connection.execute(
            sa.text(
                "CREATE TRIGGER slowly BEFORE INSERT OR UPDATE ON mirt_ability"
                " FOR EACH ROW EXECUTE FUNCTION slowly()"
            )
        )


def reported(engine: Engine, n_users: int) -> list[str]:
    users = [f"user {i:03}" for i in range(n_users)]
    add_sessions(engine, users)
    for user_id in users:
        report(engine, user_id)
    return users


@pytest.mark.heavy
def test_two_drains_share_the_queue_and_do_nothing_twice(engine: Engine, database_url: str) -> None:
    users = reported(engine, 60)
    slow_down(engine, 0.02)
    with drain_in_a_process(database_url, 4) as one, drain_in_a_process(database_url, 4) as other:
        assert (one.wait(60), other.wait(60)) == (0, 0)
    assert statuses(engine) == {DONE: len(users)}
    assert scalar(engine, "SELECT max(attempts) FROM theta_request") == 1
    assert scalar(engine, "SELECT count(*) FROM written") == len(users)
    assert done_without_theta(engine) == 0


@pytest.mark.heavy
def test_a_drain_killed_in_the_middle_loses_and_doubles_nothing(engine: Engine, database_url: str) -> None:
    users = reported(engine, 40)
    slow_down(engine, 0.03)
    with drain_in_a_process(database_url, 8) as drained:
        wait_until(lambda: scalar(engine, "SELECT count(*) FROM written") >= 8)
        wait_until(lambda: waits_in_trigger(engine))
        drained.send_signal(signal.SIGKILL)
        drained.wait()
    wait_until(lambda: not waits_in_trigger(engine))
    left = statuses(engine)
    assert left[PENDING] % 8 == 0
    assert 0 < left[PENDING] < len(users)
    assert done_without_theta(engine) == 0
    assert scalar(engine, "SELECT count(*) FROM mirt_ability") == left[DONE]

    assert drain(engine, settings()).outcomes == {DONE: left[PENDING]}
    assert scalar(engine, "SELECT max(attempts) FROM theta_request") == 1
    assert scalar(engine, "SELECT count(*) FROM written") == len(users)


def waits_in_trigger(engine: Engine) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'drain in a process' AND wait_event = 'PgSleep'"
    )
    return bool(scalar(engine, query))


def test_a_report_while_its_session_is_computed_waits_and_opens_it_again(
    engine: Engine, database_url: str
) -> None:
    add_sessions(engine, ["ann"])
    report(engine, "ann")
    slow_down(engine, 1.0)
    with drain_in_a_process(database_url, 8) as drained:
        wait_until(lambda: waits_in_trigger(engine))
        again = report(engine, "ann", completed_at=moments_ago(0))
        assert again.is_new
        drained.wait(60)
    assert drain(engine, settings()).requests <= 1
    assert statuses(engine) == {DONE: 1}


def test_reports_and_drains_race_and_in_the_end_nothing_waits(engine: Engine, database_url: str) -> None:
    """Each report asks for the run of the generation that is open after it; each generation has one run."""
    add_sessions(engine, [f"user {i:03}" for i in range(40)])
    asked: set[int] = set()
    asking = threading.Lock()
    runs: list[Future[Drained]] = []
    acceptors = create_engine(database_url, application_name="acceptors")
    drains = create_engine(database_url, application_name="drains")

    def report_and_ask(number: int) -> None:
        report(acceptors, f"user {number % 40:03}", f"s-{number}")
        with acceptors.connect() as connection:
            generation = open_generation(connection).number
        with asking:
            if generation not in asked:
                asked.add(generation)
                runs.append(running.submit(drain, drains, settings(theta_batch_size=20)))

    with ThreadPoolExecutor(2) as running:
        with ThreadPoolExecutor(6) as reporting:
            reports = [reporting.submit(report_and_ask, number) for number in range(600)]
        for one in reports:
            one.result()
        for run in runs:
            run.result()
    for used in (acceptors, drains):
        used.dispose()
    assert statuses(engine) == {DONE: 600}
    assert scalar(engine, "SELECT max(attempts) FROM theta_request") == 1
    assert done_without_theta(engine) == 0
    assert len(runs) == len(asked) < 300
