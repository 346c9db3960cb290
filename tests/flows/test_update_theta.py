"""The θ flows on a real Prefect server: what a run leaves behind, and what is seen of parked sessions."""

import time
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL
from sqlalchemy.engine import Engine

from flows.theta_sweep import theta_sweep
from flows.update_theta import update_theta
from seedtest.db.locks import stage_lock
from seedtest.db.theta_requests import RequestStatus, open_generation
from seedtest.errors import LockTimeoutError
from seedtest.theta_queue import PARKED_EVENT
from tests.flows.snapshots import scalar
from tests.prefect_requests import ask
from tests.theta_sessions import (
    BAD,
    add_sessions,
    done_without_theta,
    refuse_bad,
    report,
    statuses,
)

pytestmark = pytest.mark.heavy

PENDING, DONE, NOOP, PARKED = RequestStatus
USERS = ["ann", "bob", "cid"]


@pytest.fixture
def reported(environment: None, engine: Engine) -> Engine:
    """Sessions of three learners that wait."""
    add_sessions(engine, [*USERS, BAD])
    for user_id in USERS:
        report(engine, user_id)
    return engine


def artifact(key: str) -> Any:
    """Return what the newest artifact of this key holds."""
    wanted = {"artifacts": {"key": {"any_": [key]}}, "limit": 1}
    [found] = ask("POST", f"{PREFECT_API_URL.value()}/artifacts/latest/filter", wanted)
    return found["data"]


def generation(engine: Engine) -> int:
    with engine.connect() as connection:
        return open_generation(connection).number


def test_a_run_works_off_what_waits_and_sums_it_up(reported: Engine, log: list[str]) -> None:
    report(reported, "stranger")
    before = generation(reported)
    summary = update_theta()
    assert summary.counts == {
        "requests": 4,
        "learners": 4,
        "done": 3,
        "noop": 1,
        "to be tried again": 0,
        "parked": 0,
        "batches": 1,
    }
    assert statuses(reported) == {DONE: 3, NOOP: 1}
    assert done_without_theta(reported) == 0
    assert generation(reported) == before + 1
    shown = artifact("update-theta-summary")
    assert "| done | 3 |" in shown
    assert "oldest request's wait" in shown
    said = "\n".join(log)
    assert "θ drained: 4 requests" in said
    for personal in ("ann", "stranger", "s-bob"):
        assert personal not in said


def test_parked_sessions_are_shown_with_their_reasons_and_signalled(
    reported: Engine, monkeypatch: pytest.MonkeyPatch, log: list[str], core_log: list[str]
) -> None:
    monkeypatch.setenv("THETA_MAX_ATTEMPTS", "1")
    refuse_bad(reported)
    report(reported, BAD)
    summary = update_theta()
    assert (summary.counts["done"], summary.counts["parked"]) == (3, 1)
    assert statuses(reported) == {DONE: 3, PARKED: 1}
    shown = artifact("update-theta-parked")
    assert BAD in shown
    assert "the answers of this learner are odd" in shown
    assert "seedtest theta replay" in artifact("update-theta-summary")
    assert any("1 sessions" in line and "parked" in line for line in core_log)
    assert BAD not in "".join(log + core_log)
    wanted = {"filter": {"event": {"name": [PARKED_EVENT]}, "order": "DESC"}, "limit": 1}
    [event] = ask_until("POST", "events/filter", wanted)
    assert event["payload"] == {"newly parked": 1}


def ask_until(method: str, path: str, body: Any) -> list[dict[str, Any]]:
    """Ask for events until there are some: they are stored a moment after they were sent."""
    for _ in range(100):
        found: list[dict[str, Any]] = ask(method, f"{PREFECT_API_URL.value()}/{path}", body)["events"]
        if found:
            return found
        time.sleep(0.2)
    pytest.fail(f"no event at {path}")


def test_two_runs_do_not_drain_at_once(reported: Engine) -> None:
    with (
        stage_lock(reported, "update-theta", wait_secs=0),
        pytest.raises(LockTimeoutError, match="update-theta is already running: 'pytest'"),
    ):
        update_theta.with_options(retries=0)()
    assert statuses(reported) == {PENDING: 3}


def test_the_sweep_takes_what_nobody_was_woken_for(reported: Engine) -> None:
    before = generation(reported)
    assert theta_sweep().counts["done"] == 3
    assert statuses(reported) == {DONE: 3}
    assert generation(reported) == before + 1
    assert scalar(reported, "SELECT count(*) FROM mirt_ability") == 3


def test_the_sweep_leaves_an_empty_queue_and_a_busy_one_alone(reported: Engine) -> None:
    with stage_lock(reported, "update-theta", wait_secs=0):
        assert theta_sweep().facts == {"outcome": "another run was at it"}
    assert statuses(reported) == {PENDING: 3}
    update_theta()
    before = generation(reported)
    assert theta_sweep().facts == {"outcome": "nothing was left"}
    assert generation(reported) == before
