"""`seedtest backfill` on the embedded stack: real workers run the parent and its windows."""

import datetime as dt
import os
import subprocess
import sys
import time

import pytest

from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.models import UNFINISHED_STATES, FlowRun, StateType
from tests.e2e.conftest import LAST_DAY, Running
from tests.e2e.test_stack import scalar

pytestmark = pytest.mark.heavy

DAY = dt.timedelta(days=1)
FIRST_DAY = LAST_DAY - 13 * DAY
PATIENCE_SECS = 120


def seedtest(night: Running, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "seedtest", *arguments],
        env=os.environ | {"PREFECT_API_URL": night.prefect_api_url, "COLUMNS": "200"},
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )


def days(first: dt.date, last: dt.date) -> tuple[str, ...]:
    return ("--from", str(first), "--to", str(last))


def unfinished(api: PrefectApi) -> list[FlowRun]:
    deployments = {
        one.id for one in api.deployments(["backfill", "compute-daily-kpis", "aggregate-features-daily"])
    }
    runs = api.runs(states=UNFINISHED_STATES)
    return [run for run in runs if run.deployment_id in deployments and not run.auto_scheduled]


def test_the_command_follows_the_windows_to_the_end_and_then_finds_nothing_to_do(night: Running) -> None:
    before = scalar(night, "SELECT count(*) FROM weekly_kpi WHERE week_start = '2026-02-16'")
    done = seedtest(night, "backfill", "compute-daily-kpis", *days(FIRST_DAY, LAST_DAY))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 windows done, 0 left" in done.stdout
    assert "end expected at" in done.stdout
    assert before != 0
    assert scalar(night, "SELECT count(*) FROM backfill_window WHERE status = 'done'") == 2
    again = seedtest(night, "backfill", "compute-daily-kpis", *days(FIRST_DAY, LAST_DAY))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nothing was done" in again.stdout


def test_what_cannot_be_backfilled_is_refused_at_once(night: Running) -> None:
    refused = seedtest(night, "backfill", "mirt-calibrate", *days(FIRST_DAY, LAST_DAY))
    assert refused.returncode == 1
    assert "mirt-calibrate cannot be backfilled" in refused.stderr


def test_a_backfill_that_is_cancelled_takes_its_windows_run_along(night: Running) -> None:
    with PrefectApi(night.prefect_api_url) as api:
        parameters = {"flow": "aggregate-features-daily", "window_days": 1}
        parameters |= {"from_date": str(FIRST_DAY), "to_date": str(LAST_DAY)}
        parent = api.create_flow_run(api.deployments(["backfill"])[0], parameters, key="cancelled")
        patience = time.monotonic() + PATIENCE_SECS
        while not (children := api.runs(parents=[parent.id], states=[StateType.RUNNING])):
            assert time.monotonic() < patience, "no window has begun"
            time.sleep(0.1)
        api.set_state(parent.id, StateType.CANCELLING, "No need.")
        while unfinished(api):
            assert time.monotonic() < patience, f"still going: {unfinished(api)}"
            time.sleep(0.2)
        assert api.flow_run(parent.id).is_final
        last = children[-1]
        assert api.flow_run(last.id).is_final
        begun = api.runs(parents=[parent.id])
        assert len(begun) < (LAST_DAY - FIRST_DAY).days
