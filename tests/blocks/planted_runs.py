"""The night, and runs that fail in every way that could show a secret; a process of its own, as in a pod."""

import os
import sys
from collections.abc import Mapping
from datetime import date

from prefect.client.schemas.objects import State

from flows.compute_daily_kpis import compute_daily_kpis
from flows.mirt_calibrate import mirt_calibrate
from flows.nightly import nightly
from flows.stage import StageSummary

LAST_DAY = date(2026, 3, 1)

kpis = compute_daily_kpis.with_options(retries=0)
calibrate = mirt_calibrate.with_options(retries=0)


def fails(what: str, state: State[StageSummary]) -> None:
    if not state.is_failed():
        sys.exit(f"{what}: the run should have failed and is {state.name}")


def with_variables(changed: Mapping[str, str]) -> None:
    os.environ.update(changed)


def main() -> None:
    """Run them; WRONG_TOKEN, WRONG_DATABASE_URL and NO_DATABASE_URL are what the failing ones are given."""
    nightly(date=LAST_DAY)
    with_variables({"R_IRT_INTERNAL_TOKEN": os.environ["WRONG_TOKEN"]})
    fails("a token that the service refuses", calibrate(date=LAST_DAY, return_state=True))
    with_variables({"DATABASE_URL": os.environ["WRONG_DATABASE_URL"]})
    fails("a database that does not exist", kpis(date=LAST_DAY, return_state=True))
    with_variables({"DATABASE_URL": os.environ["NO_DATABASE_URL"]})
    fails("an address that is none", kpis(date=LAST_DAY, return_state=True))


if __name__ == "__main__":
    main()
