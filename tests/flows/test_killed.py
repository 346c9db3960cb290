"""A night killed with -9 and started again ends as if nothing had happened."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL
from sqlalchemy.engine import Engine

from flows.nightly import nightly
from tests.children import child, lines
from tests.flows.conftest import LAST_DAY
from tests.flows.snapshots import snapshot

PATIENCE_SECS = 120
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = f"from flows.nightly import nightly; nightly(date='{LAST_DAY}')"
WRITTEN = (
    "features_topic_daily, weekly_kpi, mirt_item_params, mirt_ability, student_topic_theta, mirt_fit_meta"
)

# Right after each of these lines something has been done and something has not.
MOMENTS = (
    "Total observations",
    "Linking constants received",
    "Calibration upsert completed",
    "Results unpacked: ",
    "Features upsert completed",
    "KPIs: ",
)


def kill_at(database_url: str, moment: str) -> None:
    environment = os.environ | {
        "DATABASE_URL": database_url,
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_LOGGING_COLORS": "false",
    }
    command = [sys.executable, "-u", "-c", SCRIPT]
    with child(command, cwd=ROOT, env=environment, stderr=subprocess.STDOUT) as night:
        for line in lines(night, PATIENCE_SECS):
            if re.search(moment, line):
                night.kill()
                break
        else:
            pytest.fail(f"the night ended before it said {moment!r}")
    assert night.returncode == -signal.SIGKILL


@pytest.fixture
def undisturbed(cohort: Engine) -> dict[str, tuple[int, str]]:
    """What a night leaves behind that nobody disturbs; the tables are empty again afterwards."""
    nightly(date=LAST_DAY)
    expected = snapshot(cohort)
    with cohort.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {WRITTEN} CASCADE"))
    return expected


@pytest.mark.heavy
def test_killed_at_every_stage_and_started_again(
    undisturbed: dict[str, tuple[int, str]], cohort: Engine, database_url: str
) -> None:
    for moment in MOMENTS[1::2]:
        kill_at(database_url, moment)
    nightly(date=LAST_DAY)
    assert snapshot(cohort) == undisturbed


@pytest.mark.heavy
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_one_moment_and_started_again(
    moment: str, undisturbed: dict[str, tuple[int, str]], cohort: Engine, database_url: str
) -> None:
    kill_at(database_url, moment)
    nightly(date=LAST_DAY)
    assert snapshot(cohort) == undisturbed
