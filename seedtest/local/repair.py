"""Setting right what the embedded server believes of runs that died with the stack."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.models import ACTIVE_STATES, FlowRun, StateType
from seedtest.say import Say

_STOPPED = "The stack was stopped while this run was going."
_OVERDUE = "Skipped: it was due while the stack was down, and a later run of the deployment makes up for it."
# Runs due this moment are not overdue.
_TOLERANCE = timedelta(minutes=1)


def close_dead_runs(api: PrefectApi, pool: str, say: Say) -> None:
    """Mark runs as crashed whose processes are gone; they would hold their concurrency slots for ever.

    Only for a server of our own, and only before its worker starts: every run of the pool is dead then.
    """
    close_runs(api, api.runs(states=ACTIVE_STATES, pool=pool), say)


def close_runs(api: PrefectApi, runs: list[FlowRun], say: Say) -> None:
    """Mark runs and what they started as crashed, as far as they have not ended."""
    dead = [run for run in _with_children(api, runs) if not run.is_final]
    for run in dead:
        api.set_state(run.id, StateType.CRASHED, _STOPPED, force=True)
    if dead:
        say(f"Marked {len(dead)} flow runs as crashed: they were going when the stack was stopped")


def skip_overdue_runs(api: PrefectApi, pool: str, say: Say) -> None:
    """Of scheduled runs that were due while the stack was down, keep the newest of each deployment."""
    now = datetime.now(UTC)
    due = api.runs(states=[StateType.SCHEDULED], pool=pool, expected_before=now - _TOLERANCE)
    kept: set[str | None] = set()
    skipped = 0
    for run in (run for run in due if run.auto_scheduled):
        if run.deployment_id in kept:
            api.set_state(run.id, StateType.CANCELLED, _OVERDUE, force=True)
            skipped += 1
        kept.add(run.deployment_id)
    if skipped:
        say(f"Skipped {skipped} scheduled runs that fell due while the stack was down; the newest are kept")


def _with_children(api: PrefectApi, runs: list[FlowRun]) -> Iterator[FlowRun]:
    """Yield runs and what they started and has not ended, generation by generation."""
    while runs:
        yield from runs
        runs = api.runs(states=ACTIVE_STATES, parents=[run.id for run in runs])
