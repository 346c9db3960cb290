"""Reports in chunks of learners: a task each, in processes of their own, each tried again by itself."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prefect import task
from prefect.futures import as_completed
from prefect.task_runners import ProcessPoolTaskRunner
from prefect.utilities.annotations import unmapped

from flows.artifacts import progress
from flows.report_bucket import report_bucket
from flows.settings import run_settings
from flows.stage import run_logger
from reports.making import Made, Order, make_reports
from seedtest.db.engine import create_engine
from seedtest.settings import Settings

STEP = "Making reports"
RETRY_DELAYS_SECS = [5.0, 30.0]


@dataclass
class Outcome:
    """What all chunks came to, and why some of them failed."""

    made: Made = field(default_factory=Made)
    n_chunks: int = 0
    faults: list[str] = field(default_factory=list)


@task(
    name="make-reports",
    retries=len(RETRY_DELAYS_SECS),
    retry_delay_seconds=RETRY_DELAYS_SECS,
    persist_result=False,
)
def make_chunk(order: Order, overrides: dict[str, Any]) -> Made:
    """Make the reports of a chunk of learners; what an earlier try has stored is not made again."""
    # Read here and not handed over: secrets belong in no task's parameters.
    settings = run_settings(**overrides)
    engine = create_engine(
        settings.require_database_url(),
        application_name="make-reports",
        statement_timeout_secs=settings.statement_timeout_secs,
    )
    try:
        return make_reports(engine, report_bucket(settings), order, settings)
    finally:
        engine.dispose()


def make_in_chunks(name: str, order: Order, overrides: dict[str, Any], settings: Settings) -> Outcome:
    """Make all reports of an order for the run called so; a chunk that fails for good stops no other."""
    chunks = list(_chunks(order, settings.report_chunk_size))
    outcome = Outcome(n_chunks=len(chunks))
    if not chunks:
        return outcome
    processes = min(len(chunks), settings.report_processes or os.cpu_count() or 1)
    with progress(name, [STEP]) as shown, ProcessPoolTaskRunner(max_workers=processes) as runner:
        futures = runner.map(make_chunk, {"order": chunks, "overrides": unmapped(overrides)})
        for n, future in enumerate(as_completed(list(futures)), start=1):
            made = future.result(raise_on_failure=False)
            if isinstance(made, Made):
                outcome.made.add(made)
            else:
                outcome.faults.append(f"{type(made).__name__}: {made}")
            shown.reach(STEP, n / len(chunks))
            run_logger().info(
                "Reports: %d of %d chunks, %d made, %d unchanged, %d failed",
                n,
                len(chunks),
                len(outcome.made.reports),
                outcome.made.n_unchanged,
                len(outcome.made.failures),
            )
    return outcome


def _chunks(order: Order, size: int) -> Iterator[Order]:
    for first in range(0, len(order.user_ids), size):
        yield order.of(order.user_ids[first : first + size])
