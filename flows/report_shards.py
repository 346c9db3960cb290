"""A large week dealt out to several runs, each with a deadline of its own."""

import time
import zlib
from collections.abc import Sequence
from math import ceil
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.runtime import flow_run
from prefect.states import Cancelling

from flows.report_chunks import Outcome
from flows.stage import run_logger
from reports.making import Order
from seedtest.settings import Settings

DEPLOYMENT = "generate-weekly-report-shard"
POLL_SECS = 5.0


def n_shards(n_learners: int, settings: Settings) -> int:
    """Return how many runs a week's reports are dealt out to."""
    return max(1, ceil(n_learners / settings.report_learners_per_run))


def of_shard(user_ids: Sequence[str], shard: int, shards: int) -> tuple[str, ...]:
    """Return the learners of one shard of `shards`, from 0 on: the same whoever else there is."""
    return tuple(user_id for user_id in user_ids if zlib.crc32(user_id.encode()) % shards == shard)


def make_in_shards(order: Order, shards: int) -> Outcome:
    """Start a run a shard, wait for all, and say which did not complete."""
    children = [_start(order, shard, shards) for shard in range(shards)]
    run_logger().info("Reports dealt out to %d runs of %s", shards, DEPLOYMENT)
    outcome = Outcome(n_chunks=shards)
    with get_client(sync_client=True) as client:
        try:
            ended = _await(client, children)
        except BaseException:
            # Prefect passes neither a cancellation nor a failure on to runs of deployments.
            _cancel(client, children)
            raise
    for run in ended:
        if run.state is None or not run.state.is_completed():
            state = run.state.name if run.state else "no state"
            outcome.faults.append(f"the run {run.name} of {DEPLOYMENT} ended in the state {state}")
    return outcome


def _start(order: Order, shard: int, shards: int) -> UUID:
    parameters = {
        "week": order.week_start.isoformat(),
        "shard": shard,
        "shards": shards,
        "format": ",".join(order.formats),
        "force": order.force,
        "dry_run": order.dry_run,
    }
    # A retry of the parent starts the shards anew; those that are done find nothing to render.
    key = f"{flow_run.id}/{flow_run.run_count}/{shard}"
    run = run_deployment(f"{DEPLOYMENT}/{DEPLOYMENT}", parameters=parameters, timeout=0, idempotency_key=key)
    if not isinstance(run, FlowRun):
        raise TypeError("a run is started synchronously here")
    return run.id


def _await(client: SyncPrefectClient, children: Sequence[UUID]) -> list[FlowRun]:
    while True:
        runs = [client.read_flow_run(child) for child in children]
        if all(run.state is not None and run.state.is_final() for run in runs):
            return runs
        time.sleep(POLL_SECS)


def _cancel(client: SyncPrefectClient, children: Sequence[UUID]) -> None:
    for child in children:
        state = client.read_flow_run(child).state
        if state is not None and state.is_final():
            continue
        client.set_flow_run_state(child, Cancelling(message="The run that dealt out the reports has ended."))
