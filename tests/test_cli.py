"""The command line as a person meets it: real processes, a real database, messages without traces."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.db.theta_requests import RequestStatus, Settlement, settle
from tests.flows.snapshots import scalar
from tests.local.conftest import free_port
from tests.theta_sessions import report

ROOT = Path(__file__).resolve().parents[1]
ANSWERS = (
    "user_id,item_id,correct,completed_at\nu1,Q1,1,2026-03-01T10:00:00Z\nu1,Q2,maybe,2026-03-01T10:01:00Z\n"
)


def seedtest(*arguments: object, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # No variable of the machine's own decides what the command meets.
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "seedtest", *map(str, arguments)],
        cwd=home.parent,
        env=inherited | {"SEEDTEST_HOME": str(home), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_help_names_every_command(home: Path) -> None:
    said = seedtest("--help", home=home).stdout
    about_stack = ("up", "down", "status", "import", "simulate", "run", "verify", "summary")
    for command in (*about_stack, "calibrate", "score", "irt-service"):
        assert f" {command} " in said


@pytest.mark.parametrize(
    "command", [("verify",), ("summary",), ("simulate", "--users", 5), ("import", "x.csv")]
)
def test_without_a_database_it_says_how_to_get_one(home: Path, command: tuple[object, ...]) -> None:
    done = seedtest(*command, home=home)
    assert done.returncode == 1
    assert "seedtest up" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_malformed_setting_is_named(home: Path) -> None:
    done = seedtest("verify", home=home, MIRT_LOOKBACK_DAYS="soon")
    assert done.returncode == 1
    assert "MIRT_LOOKBACK_DAYS" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_database_is_named_without_its_password(home: Path) -> None:
    done = seedtest("summary", home=home, DATABASE_URL="postgresql://someone:hunter2@127.0.0.1:1/nowhere")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


@pytest.mark.parametrize("command", [("verify",), ("summary",), ("simulate", "--users", 5)])
def test_a_database_that_was_not_migrated_is_told_with_the_remedy(
    home: Path, empty_database_url: str, command: tuple[object, ...]
) -> None:
    done = seedtest(*command, home=home, DATABASE_URL=empty_database_url)
    assert done.returncode == 1
    assert "alembic upgrade head" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("has_logs", [True, False])
def test_the_trace_of_an_unexpected_error_is_kept_where_the_logs_are(
    home: Path, engine: Engine, database_url: str, has_logs: bool
) -> None:
    if has_logs:
        (home / "logs").mkdir(parents=True)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE weekly_kpi"))
    done = seedtest("summary", home=home, DATABASE_URL=database_url)
    assert done.returncode == 1
    (file,) = (home / "logs" if has_logs else home.parent).glob("crash-*.log")
    assert str(file) in done.stderr
    assert "Traceback" in file.read_text()
    assert "Traceback" not in done.stderr + done.stdout


def test_import_counts_loads_and_rejects(
    home: Path, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(ANSWERS)
    done = seedtest("import", file, home=home, DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    assert "1 attempts of 1 learners on 1 items, 1 rows rejected" in done.stdout
    assert scalar(engine, "SELECT count(*) FROM attempt") == 1
    rejects = next((home / "rejects").iterdir()).read_text()
    assert "3," in rejects
    assert "maybe" in rejects
    again = seedtest("import", file, home=home, DATABASE_URL=database_url)
    assert "attempts: 0 new, 1 known already" in again.stdout


def test_import_takes_other_headers(home: Path, engine: Engine, database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("who,item_id,ok,completed_at\nu1,Q1,1,2026-03-01T10:00:00Z\n")
    done = seedtest("import", file, "--map", "user_id=who,correct=ok", home=home, DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    assert scalar(engine, "SELECT user_id FROM attempt") == "u1"


def test_simulate_loads_a_cohort_and_keeps_its_truth(home: Path, engine: Engine, database_url: str) -> None:
    plan = ("--users", 20, "--items", 15, "--topics", 3, "--answers", 12, "--end", "2026-03-01")
    done = seedtest("simulate", *plan, home=home, DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    assert scalar(engine, "SELECT count(*) FROM attempt") == 20 * 12
    assert pl.read_parquet(home / "truth" / "items.parquet").height == 15


def test_verify_says_ok_or_fail_for_each_check(home: Path, engine: Engine, database_url: str) -> None:
    done = seedtest("verify", home=home, DATABASE_URL=database_url)
    assert done.returncode == 1
    assert "FAIL items: 0 calibrated items; 10 expected → run mirt-calibrate" in done.stdout


def test_run_without_a_server_says_how_to_start_one(home: Path, database_url: str) -> None:
    done = seedtest("run", "nightly", home=home, DATABASE_URL=database_url)
    assert done.returncode == 1
    assert "seedtest up" in done.stderr


@pytest.mark.heavy
def test_theta_lists_parked_sessions_and_replays_them(home: Path, engine: Engine, database_url: str) -> None:
    report(engine, "ann")
    with engine.begin() as connection:
        settle(connection, [Settlement("s-ann", RequestStatus.PARKED, "the [answers] are odd")])
    environment = {"DATABASE_URL": database_url, "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}

    def theta(*arguments: object) -> str:
        done = seedtest("theta", *arguments, home=home, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "0 sessions wait for a new θ; 1 are parked" in theta("status")
    listed = theta("list", "--parked")
    assert "s-ann" in listed
    assert "the [answers] are odd" in listed
    # Without a Prefect server the sessions wait for the sweep.
    replayed = theta("replay", "s-ann")
    assert "1 sessions wait for a new θ again" in replayed
    assert "theta-sweep" in replayed
    assert "1 sessions wait" in theta("status")
    assert "There are none." in theta("list", "--parked")
    refused = seedtest("theta", "replay", "s-ann", home=home, **environment)
    assert refused.returncode == 1
    assert "s-ann (pending)" in refused.stderr
    assert seedtest("theta", "replay", home=home, **environment).returncode == 2
