"""What a lost trigger left in the θ queue, and what is due to be tried again."""

import datetime as dt

from flows.settings import run_settings
from flows.stage import StageSummary, run_logger, stage_flow
from flows.update_theta import RETRIES, work_off
from seedtest.db.engine import create_engine, reachable
from seedtest.db.theta_requests import any_due
from seedtest.errors import LockTimeoutError
from seedtest.settings import Settings

STAGE = "theta-sweep"


@stage_flow(STAGE, retries=RETRIES)
def theta_sweep() -> StageSummary:
    """Work off sessions that nobody was woken for, or whose next try is due; mostly there are none."""
    # A drain that runs looks again until nothing is due: there is no need to wait for it.
    settings = run_settings(lock_wait_secs=0)
    today = dt.datetime.now(dt.UTC).date()
    if not _is_anything_due(settings):
        run_logger().info("Nothing was left in the θ queue")
        return StageSummary(stage=STAGE, date=today, facts={"outcome": "nothing was left"})
    try:
        return work_off(STAGE, settings)
    except LockTimeoutError as error:
        run_logger().info("Another run is at the θ queue: %s", error)
        return StageSummary(stage=STAGE, date=today, facts={"outcome": "another run was at it"})


def _is_anything_due(settings: Settings) -> bool:
    engine = create_engine(settings.require_database_url(), application_name=STAGE)
    with reachable(engine), engine.connect() as connection:
        return any_due(connection)
