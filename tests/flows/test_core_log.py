"""What the core logs is read where a run's log is read."""

import time

from prefect.client.orchestration import get_client
from sqlalchemy.engine import Engine

from flows.mirt_calibrate import mirt_calibrate
from tests.flows.conftest import LAST_DAY

# Prefect sends log lines in batches.
LOG_SECS = 20


def messages() -> list[str]:
    with get_client(sync_client=True) as client:
        return [line["message"] for line in client.request("POST", "/logs/filter", json={}).json()]


def test_the_engine_s_lines_stand_in_the_run_s_log(cohort: Engine) -> None:
    mirt_calibrate(date=LAST_DAY)
    deadline = time.monotonic() + LOG_SECS
    while not (found := [line for line in messages() if line.startswith("EM ")]):
        assert time.monotonic() < deadline, messages()
        time.sleep(0.2)
    assert "converged" in found[0]
