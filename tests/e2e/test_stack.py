"""`seedtest run` and `prefect deployment run` against the embedded stack."""

import datetime as dt
import os
import subprocess
import sys
import time
from http import HTTPStatus

import httpx
import pytest
import sqlalchemy as sa

from seedtest.db.engine import create_engine
from seedtest.local.development_keys import development_key
from seedtest.local.folder import StackFolder
from seedtest.local.pools import THETA_POOL
from seedtest.local.state import load_state
from seedtest.local.supervision.programs import SERVER
from tests.e2e.conftest import LAST_DAY, PLAN, Running
from tests.prefect_requests import ask

pytestmark = pytest.mark.heavy

PREFECT = (sys.executable, "-m", "prefect")
PARAMETERS = ("--param", "dry_run=true", "--param", f"date={LAST_DAY}")


def scalar(night: Running, query: str) -> object:
    engine = create_engine(night.database_url)
    with engine.begin() as connection:
        value: object = connection.scalar(sa.text(query))
    engine.dispose()
    return value


def test_the_night_has_filled_the_tables(night: Running) -> None:
    assert scalar(night, "SELECT count(*) FROM mirt_ability_latest") == PLAN.users
    # A backfill may have filled weeks before these on the same stack.
    last_two = f"week_start > date '{LAST_DAY}' - 14"
    assert scalar(night, f"SELECT count(*) FROM weekly_kpi WHERE {last_two}") == 2 * PLAN.users


def test_a_run_is_followed_with_its_log(night: Running) -> None:
    final = night.run("mirt-calibrate", date=str(LAST_DAY), dry_run="true")
    assert final.completed
    assert any("Total observations: " in line for line in night.said)


@pytest.mark.heavy
def test_a_run_that_fails_is_no_success_and_says_why(night: Running) -> None:
    assert scalar(night, "UPDATE mirt_ability SET theta = 'NaN' RETURNING 1") == 1
    final = night.run("compute-daily-kpis", date=str(LAST_DAY))
    assert not final.completed
    assert f"KPIs of {PLAN.users} learners could not be computed" in (final.message or "")
    assert night.run("nightly", date=str(LAST_DAY)).completed


SCHEDULED = {"aggregate-features-daily", "compute-daily-kpis", "mirt-calibrate"}


def test_the_schedules_make_runs(night: Running) -> None:
    api = night.prefect_api_url
    names = {one["id"]: one["name"] for one in ask("POST", f"{api}/deployments/filter", {})}
    to_come = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    # The scheduler looks at new schedules every few seconds, and at all of them every minute.
    patience = time.monotonic() + 90
    found: set[str] = set()
    while not found >= SCHEDULED:
        assert time.monotonic() < patience, f"only these have runs to come: {found}"
        time.sleep(1)
        runs = ask("POST", f"{api}/flow_runs/filter", to_come)
        found = {names[run["deployment_id"]] for run in runs if run["auto_scheduled"]}


def test_prefects_own_command_runs_a_deployment(night: Running) -> None:
    done = subprocess.run(
        [*PREFECT, "deployment", "run", "mirt-calibrate/mirt-calibrate", "--watch", *PARAMETERS],
        env=os.environ | {"PREFECT_API_URL": night.prefect_api_url},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_session_reported_to_the_api_has_its_ability_by_the_worker_of_its_own(night: Running) -> None:
    state = load_state(StackFolder(night.settings.home))
    assert state is not None
    learner = scalar(night, "SELECT user_id FROM mirt_ability_latest ORDER BY user_id LIMIT 1")
    token = development_key(night.settings.home).token(
        "platform", ["exam:write"], dt.timedelta(minutes=5), audience=night.settings.jwt_aud
    )
    session = {"session_id": "e2e", "user_id": learner, "completed_at": "2026-03-01T12:00:00Z"}
    accepted = httpx.post(
        f"{state.servers.theta_api_url}/api/seedtest/webhooks/session-completed",
        json=session,
        headers={"Authorization": f"Bearer {token}"},
    )
    assert accepted.status_code == HTTPStatus.ACCEPTED
    patience = time.monotonic() + 60
    while scalar(night, "SELECT status FROM theta_request WHERE session_id = 'e2e'") == "pending":
        assert time.monotonic() < patience, "no run has taken it up"
        time.sleep(0.2)
    wanted = {"flows": {"name": {"any_": ["update-theta"]}}, "sort": "START_TIME_DESC", "limit": 1}
    run = ask("POST", f"{night.prefect_api_url}/flow_runs/filter", wanted)[0]
    assert run["work_pool_name"] == THETA_POOL


def test_the_server_has_refused_nobody_for_a_locked_database(night: Running) -> None:
    log = StackFolder(night.settings.home).log(SERVER).read_text()
    assert "database is locked" not in log
