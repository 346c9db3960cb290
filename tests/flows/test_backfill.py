"""Backfills: in order, resumed after any end, never beside another; a real server and real runs."""

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed, Failed, Scheduled
from sqlalchemy.engine import Engine

from flows.aggregate_features_daily import aggregate_features_daily
from flows.backfill import backfill
from flows.compute_daily_kpis import compute_daily_kpis
from flows.mirt_calibrate import mirt_calibrate
from seedtest.backfill import FEATURES, KPIS, BackfillPlan, plan_backfill
from seedtest.db.backfill import Ledger, WindowStatus
from seedtest.db.engine import create_engine
from seedtest.db.locks import stage_lock
from seedtest.errors import ConfigurationError, LockTimeoutError, StageError
from tests.children import child, lines
from tests.flows.conftest import LAST_DAY
from tests.flows.deployment_runs import Fate, Taker, deploy, runs_of, taking_up
from tests.flows.snapshots import scalar, snapshot
from tests.prefect_requests import ask

ROOT = Path(__file__).resolve().parents[2]
DAY = dt.timedelta(days=1)
FIRST_DAY = LAST_DAY - 11 * DAY
RANGE: dict[str, Any] = {"from_date": FIRST_DAY, "to_date": LAST_DAY, "window_days": 4}
OF_FEATURES: dict[str, Any] = {"flow": FEATURES, **RANGE}
FEATURE_ROWS = ("features_topic_daily",)
PATIENCE_SECS = 150

Rows = dict[str, tuple[int, str]]


def plan(**choice: Any) -> BackfillPlan:
    today = dt.datetime.now(dt.UTC).date()
    return plan_backfill(FEATURES, FIRST_DAY, LAST_DAY, window_days=4, **{"today": today} | choice)


@pytest.fixture
def client(environment: None) -> Iterator[SyncPrefectClient]:
    """The server, with the deployments and none of their runs."""
    with get_client(sync_client=True) as client:
        for flow in (aggregate_features_daily, compute_daily_kpis):
            deploy(flow)
            for run in runs_of(client, flow):
                client.delete_flow_run(run.id)
        yield client


@pytest.fixture
def feature_runs(client: SyncPrefectClient) -> Iterator[None]:
    """Runs of the features are taken up."""
    with taking_up(aggregate_features_daily):
        yield


def asked(client: SyncPrefectClient) -> list[tuple[str, int]]:
    runs = runs_of(client, aggregate_features_daily)
    return [(run.parameters["date"], run.parameters["lookback_days"]) for run in runs]


def statuses(engine: Engine) -> list[str]:
    return [entry.status.value for entry in Ledger(engine, plan()).entries()]


@pytest.fixture
def undisturbed(cohort: Engine) -> Rows:
    """What one run over all the days leaves; the table is empty again afterwards."""
    aggregate_features_daily(date=LAST_DAY, lookback_days=12)
    expected = snapshot(cohort, FEATURE_ROWS)
    assert expected["features_topic_daily"][0] > 100
    empty(cohort, "features_topic_daily")
    return expected


def empty(engine: Engine, *tables: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {', '.join((*tables, 'input_digest'))}"))


def shown_table() -> list[dict[str, Any]]:
    wanted = {"artifacts": {"key": {"any_": ["backfill"]}}, "limit": 1}
    [found] = ask("POST", f"{PREFECT_API_URL.value()}/artifacts/latest/filter", wanted)
    rows: list[dict[str, Any]] = json.loads(found["data"])
    return rows


def start(
    database_url: str, arguments: Mapping[str, Any] = OF_FEATURES
) -> AbstractContextManager["subprocess.Popen[str]"]:
    given = {name: value if isinstance(value, int) else str(value) for name, value in arguments.items()}
    environment = os.environ | {
        "DATABASE_URL": database_url,
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_LOGGING_COLORS": "false",
    }
    command = [sys.executable, "-u", "-c", f"from flows.backfill import backfill; backfill(**{given})"]
    return child(command, cwd=ROOT, env=environment, stderr=subprocess.STDOUT)


def kill_at(database_url: str, moment: str, arguments: Mapping[str, Any] = OF_FEATURES) -> None:
    """Start a backfill and kill it once it says something."""
    with start(database_url, arguments) as process:
        said = []
        for line in lines(process, PATIENCE_SECS):
            said.append(line)
            if re.search(moment, line):
                process.kill()
                break
        else:
            pytest.fail(f"it ended before it said {moment!r}: {''.join(said)}")


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


WINDOWS = [(str(LAST_DAY - days * DAY), 4) for days in (8, 4, 0)]


def test_windows_run_in_order_once_and_leave_what_one_run_would(
    undisturbed: Rows, cohort: Engine, client: SyncPrefectClient, feature_runs: None, log: list[str]
) -> None:
    summary = backfill(**OF_FEATURES)
    assert summary.counts == {
        "windows": 3,
        "windows done before": 0,
        "windows done now": 3,
        "windows left": 0,
    }
    assert asked(client) == WINDOWS
    assert snapshot(cohort, FEATURE_ROWS) == undisturbed
    told = [line for line in log if "windows done" in line]
    assert "0 of 3 windows done, 3 left" in told[0]
    assert re.search(r"1 of 3 windows done, 2 left, 0:00:\d\d so far, end expected at 2", told[1])
    rows = shown_table()
    assert [row["window"] for row in rows] == [str(window) for window in plan().windows]
    assert [row["run"] for row in rows] == [run.name for run in runs_of(client, aggregate_features_daily)]
    assert all(row["status"] == "done" and row["seconds"] > 0 and row["link"] for row in rows)

    again = backfill(**OF_FEATURES)
    assert "nothing was done" in again.facts["outcome"]
    assert (again.counts["windows done before"], again.counts["windows done now"]) == (3, 0)
    assert asked(client) == WINDOWS

    backfill(**OF_FEATURES, restart=True)
    assert asked(client) == WINDOWS * 2


def test_killed_while_a_run_waits_it_takes_the_run_over_and_ends_as_if_undisturbed(
    undisturbed: Rows, cohort: Engine, client: SyncPrefectClient, database_url: str
) -> None:
    with taking_up(aggregate_features_daily, until_asked_for(WINDOWS[1][0])), start(database_url) as process:
        wait_until(lambda: statuses(cohort) == ["done", "running", "pending"])
        process.kill()
        process.communicate(timeout=PATIENCE_SECS)
    with taking_up(aggregate_features_daily):
        summary = backfill(**OF_FEATURES)
    assert (summary.counts["windows done before"], summary.counts["windows done now"]) == (1, 2)
    assert asked(client) == WINDOWS
    assert snapshot(cohort, FEATURE_ROWS) == undisturbed


def until_asked_for(date: str) -> Fate:
    """Leave the run for a day waiting, and let those before it run."""
    return lambda run: Scheduled() if run.parameters["date"] == date else None


@pytest.mark.heavy
def test_a_run_that_was_started_but_not_noted_is_not_started_again(
    cohort: Engine, client: SyncPrefectClient, log: list[str]
) -> None:
    ledger = Ledger(cohort, plan())
    ledger.open()
    entry = ledger.entries()[0]
    deployment = client.read_deployment_by_name(f"{FEATURES}/{FEATURES}")
    begun = client.create_flow_run_from_deployment(
        deployment.id,
        parameters=plan().parameters(entry.window, dt.datetime.now(dt.UTC).date()),
        idempotency_key=ledger.turn(entry),
    )
    with taking_up(aggregate_features_daily):
        backfill(**OF_FEATURES)
    assert asked(client) == WINDOWS
    assert ledger.entries()[0].flow_run_id == str(begun.id)


def test_a_run_of_an_earlier_backfill_that_goes_on_is_taken_over(
    cohort: Engine, client: SyncPrefectClient, log: list[str]
) -> None:
    ledger = Ledger(cohort, plan())
    ledger.open()
    window = plan().windows[0]
    deployment = client.read_deployment_by_name(f"{FEATURES}/{FEATURES}")
    begun = client.create_flow_run_from_deployment(
        deployment.id, parameters=plan().parameters(window, dt.datetime.now(dt.UTC).date())
    )
    ledger.note(window, WindowStatus.RUNNING, flow_run_id=str(begun.id))
    with taking_up(aggregate_features_daily):
        backfill(**OF_FEATURES)
    assert asked(client) == WINDOWS
    assert f"{window}: the run {begun.name} that was started for it is taken over" in log


def fail_once(date: str, state: State[Any]) -> Fate:
    """Give the first run for a day a state instead of running it."""
    struck: list[FlowRun] = []

    def fate(run: FlowRun) -> State[Any] | None:
        if run.parameters["date"] != date or struck:
            return None
        struck.append(run)
        return state

    return fate


@pytest.mark.parametrize(
    "state",
    [
        Failed(message="no room"),
        pytest.param(Cancelled(message="no need"), marks=pytest.mark.heavy),
    ],
    ids=str,
)
def test_a_window_that_fails_ends_the_backfill_and_the_next_one_begins_with_it(
    state: State[Any], undisturbed: Rows, cohort: Engine, client: SyncPrefectClient
) -> None:
    with taking_up(aggregate_features_daily, fail_once(WINDOWS[1][0], state)):
        with pytest.raises(StageError) as raised:
            backfill(**OF_FEATURES)
        assert statuses(cohort) == ["done", "failed", "pending"]
        failed = runs_of(client, aggregate_features_daily)[1]
        for part in (
            "Window 2 of 3 (2026-02-22 to 2026-02-25) failed",
            f"the run {failed.name} ({failed.id}) of {FEATURES} ended {state.name}: {state.message}",
            "1 windows are done",
            "Start the same backfill again",
        ):
            assert part in str(raised.value)
        assert [row["reason"] for row in shown_table()] == [None, f"{state.name}: {state.message}", None]
        backfill(**OF_FEATURES)
    assert asked(client) == [WINDOWS[0], WINDOWS[1], WINDOWS[1], WINDOWS[2]]
    assert snapshot(cohort, FEATURE_ROWS) == undisturbed


def crashed(client: SyncPrefectClient) -> list[FlowRun]:
    runs = runs_of(client, aggregate_features_daily)
    return [run for run in runs if run.state is not None and run.state.is_crashed()]


@pytest.mark.heavy
def test_a_crashed_run_that_is_run_once_more_has_not_failed(
    cohort: Engine, client: SyncPrefectClient
) -> None:
    """As the automation `crashed run` does it."""

    def rerun() -> None:
        with get_client(sync_client=True) as other:
            wait_until(lambda: bool(crashed(other)))
            # For so long the backfill sees it crashed.
            time.sleep(2)
            other.set_flow_run_state(crashed(other)[0].id, Scheduled(name="AwaitingRetry"), force=True)

    automation = threading.Thread(target=rerun)
    with taking_up(aggregate_features_daily, fail_once(WINDOWS[0][0], Crashed(message="node lost"))):
        automation.start()
        backfill(**OF_FEATURES)
    automation.join()
    assert asked(client) == WINDOWS


def test_a_second_backfill_of_the_stage_is_refused_naming_the_first(
    cohort: Engine, client: SyncPrefectClient, feature_runs: None, database_url: str
) -> None:
    first = create_engine(database_url, application_name=f"backfill of {FEATURES} run bold-heron")
    with stage_lock(first, f"backfill of {FEATURES}", wait_secs=0):
        with pytest.raises(
            LockTimeoutError, match=f"backfill of {FEATURES} is already running: .*bold-heron"
        ):
            backfill(**OF_FEATURES)
        assert asked(client) == []
        # Another stage's may go on beside it, and looking does no harm.
        assert backfill(**OF_FEATURES, dry_run=True).counts["windows left"] == 3
    first.dispose()


@pytest.mark.heavy
def test_interrupted_it_cancels_the_run_it_waits_for(
    cohort: Engine, client: SyncPrefectClient, database_url: str
) -> None:
    with start(database_url) as process:
        wait_until(lambda: statuses(cohort)[:1] == ["running"])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECS)
    (run,) = runs_of(client, aggregate_features_daily)
    assert run.state is not None
    assert run.state.type in {StateType.CANCELLED, StateType.CANCELLING}
    with taking_up(aggregate_features_daily):
        backfill(**OF_FEATURES)
    assert asked(client) == [WINDOWS[0], *WINDOWS]


@pytest.mark.heavy
def test_the_nights_run_that_waits_goes_first(
    cohort: Engine, client: SyncPrefectClient, log: list[str]
) -> None:
    deployment = client.read_deployment_by_name(f"{FEATURES}/{FEATURES}")
    night = client.create_flow_run_from_deployment(deployment.id, parameters={"date": str(LAST_DAY)})
    tomorrow: State[Any] = Scheduled(scheduled_time=dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    client.create_flow_run_from_deployment(deployment.id, state=tomorrow)

    def begin() -> None:
        wait_until(lambda: any("go first" in line for line in log))
        taker.start()

    taker = Taker(aggregate_features_daily)
    beginning = threading.Thread(target=begin)
    beginning.start()
    backfill(**OF_FEATURES)
    beginning.join()
    taker.stop()
    assert f"Other runs of {FEATURES} go first: {night.name}" in log
    assert statuses(cohort) == ["done"] * 3


def test_a_dry_run_says_what_there_is_to_do_and_writes_nothing(
    cohort: Engine, client: SyncPrefectClient
) -> None:
    summary = backfill(**OF_FEATURES, dry_run=True)
    assert summary.counts["windows left"] == 3
    assert [(row["window"], row["status"]) for row in shown_table()] == [
        (str(window), "pending") for window in plan().windows
    ]
    assert scalar(cohort, "SELECT count(*) FROM backfill_window") == 0
    assert asked(client) == []


def test_days_to_come_are_refused(environment: None) -> None:
    today = dt.datetime.now(dt.UTC).date()
    with pytest.raises(ConfigurationError, match="the last day that is whole"):
        backfill(flow=KPIS, from_date=today - DAY, to_date=today)


def test_a_server_without_the_stage_says_how_to_register_it(
    cohort: Engine, client: SyncPrefectClient
) -> None:
    deployment = client.read_deployment_by_name(f"{FEATURES}/{FEATURES}")
    client.delete_deployment(deployment.id)
    with pytest.raises(ConfigurationError, match=f"no deployment {FEATURES}.*make deploy"):
        backfill(**OF_FEATURES)


# Learners who have no number at all in a week may have a row of it or none.
WITH_NUMBERS = """
SELECT user_id, week_start, kpis FROM weekly_kpi
WHERE EXISTS (SELECT FROM jsonb_each(kpis) AS kpi WHERE kpi.value <> 'null') ORDER BY 1, 2
"""


def kpi_rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.text(WITH_NUMBERS)))


@pytest.mark.heavy
def test_kpis_week_by_week_are_those_of_every_night(cohort: Engine, client: SyncPrefectClient) -> None:
    mirt_calibrate(date=LAST_DAY)
    first = LAST_DAY - 16 * DAY
    for days in range(17):
        compute_daily_kpis(date=first + days * DAY)
    nightly = kpi_rows(cohort)
    assert len({row.week_start for row in nightly}) == 4
    empty(cohort, "weekly_kpi")
    with taking_up(compute_daily_kpis):
        backfill(flow=KPIS, from_date=first, to_date=LAST_DAY)
    assert [run.parameters["date"] for run in runs_of(client, compute_daily_kpis)] == [
        str(LAST_DAY - days * DAY) for days in (14, 7, 0)
    ]
    assert kpi_rows(cohort) == nightly


@pytest.mark.heavy
def test_thirty_days_killed_again_and_again_end_as_if_undisturbed(
    cohort: Engine, client: SyncPrefectClient, database_url: str
) -> None:
    # The issue's own proof: each kill at another moment, while runs are taken up as they come.
    thirty: dict[str, Any] = {"flow": FEATURES, "from_date": LAST_DAY - 29 * DAY, "to_date": LAST_DAY}
    aggregate_features_daily(date=LAST_DAY, lookback_days=30)
    expected = snapshot(cohort, FEATURE_ROWS)
    empty(cohort, "features_topic_daily")
    with taking_up(aggregate_features_daily):
        for moment in (
            "Window 1 of 6",
            "Window 1 is done",
            "1 of 6 windows done",
            "Window 3 of 6",
            "Window 5",
        ):
            kill_at(database_url, moment, thirty | {"window_days": 5})
        summary = backfill(**thirty, window_days=5)
    assert summary.counts["windows left"] == 0
    assert [date for date, _ in asked(client)] == [str(LAST_DAY - days * DAY) for days in range(25, -1, -5)]
    assert snapshot(cohort, FEATURE_ROWS) == expected
