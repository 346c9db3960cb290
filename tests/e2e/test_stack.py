"""`seedtest run` and `prefect deployment run` against the embedded stack."""

import os
import subprocess
import sys
import time

import sqlalchemy as sa

from seedtest.db.engine import create_engine
from tests.e2e.conftest import LAST_DAY, PLAN, Running
from tests.prefect_requests import ask

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
    assert scalar(night, "SELECT count(*) FROM weekly_kpi") == 2 * PLAN.users


def test_a_run_is_followed_with_its_log(night: Running) -> None:
    final = night.run("mirt-calibrate", date=str(LAST_DAY), dry_run="true")
    assert final.completed
    assert any("Total observations: " in line for line in night.said)


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
