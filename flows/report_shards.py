"""A large week dealt out to several runs, each with a deadline of its own."""

import zlib
from collections.abc import Sequence
from math import ceil
from uuid import UUID

from flows.report_chunks import Outcome
from flows.shards import await_parts, completed, start_part, state_name
from flows.stage import run_logger
from reports.making import Order
from seedtest.settings import Settings

DEPLOYMENT = "generate-weekly-report-shard"


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
    for run in await_parts(children):
        if not completed(run):
            outcome.faults.append(f"the run {run.name} of {DEPLOYMENT} ended in the state {state_name(run)}")
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
    return start_part(DEPLOYMENT, parameters, shard)
