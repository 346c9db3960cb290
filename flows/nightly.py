"""The whole night in the order of its data: calibration, then features, then KPIs."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

from prefect import flow, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.runtime import flow_run

from flows.aggregate_features_daily import aggregate_features_daily
from flows.artifacts import publish_table
from flows.compute_daily_kpis import compute_daily_kpis
from flows.mirt_calibrate import mirt_calibrate
from flows.stage import StageSummary, resolve_date, run_logger
from seedtest.version import code_version

STAGE = "nightly"
# Two minutes before the Job's own deadline, as for every stage (`flows.stage`).
DEADLINE_SECS = 14_280

STAGES: dict[str, Callable[..., StageSummary]] = {
    "mirt-calibrate": mirt_calibrate,
    "aggregate-features-daily": aggregate_features_daily,
    "compute-daily-kpis": compute_daily_kpis,
}


def _stage_key(_: TaskRunContext, arguments: dict[str, Any]) -> str:
    """Return what a finished stage is found by when this very run is retried; another run starts afresh."""
    given = json.dumps(arguments["parameters"], default=str, sort_keys=True)
    return f"{flow_run.root_flow_run_id}/{arguments['name']}/{given}/{code_version()}"


@task(
    task_run_name="{name}",
    persist_result=True,
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_stage_key),
    result_serializer="json",
)
def run_stage(name: str, parameters: dict[str, Any]) -> StageSummary:
    """Run one stage as a subflow, unless an earlier attempt of this run has finished it."""
    return STAGES[name](**parameters)


@flow(name=STAGE, timeout_seconds=DEADLINE_SECS, persist_result=True, result_serializer="json")
def nightly(date: dt.date | None = None, dry_run: bool = False) -> list[StageSummary]:
    """Calibrate, then compute features and KPIs with the fresh parameters; each stage retries by itself.

    Args:
        date: Last UTC day whose answers count, whole. Empty: yesterday.
        dry_run: Run all stages without writing anything.
    """
    parameters: dict[str, Any] = {"date": resolve_date(date), "dry_run": dry_run}
    summaries = [run_stage(name, parameters) for name in STAGES]
    _publish(summaries, parameters["date"])
    run_logger().info("Nightly run for %s completed", parameters["date"])
    return summaries


def _publish(summaries: list[StageSummary], date: dt.date) -> None:
    rows = [
        {
            "stage": summary.stage,
            "seconds": summary.seconds,
            "counted": "; ".join(f"{name}: {count:,}" for name, count in summary.counts.items()),
            "left out": "; ".join(f"{why}: {count:,}" for why, count in summary.dropped.items()) or "nothing",
        }
        for summary in summaries
    ]
    publish_table(STAGE, rows, f"The night of {date}, stage by stage")
