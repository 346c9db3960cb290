"""Runs of a deployment as parts of a run: started, awaited, cancelled with it."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.runtime import flow_run
from prefect.states import Cancelling

POLL_SECS = 5.0


def start_part(deployment: str, parameters: dict[str, Any], part: object) -> UUID:
    """Start a run of a deployment for a part of this run; once, however often this attempt asks."""
    # A retry of the parent starts its parts anew; those that are done find nothing to do.
    key = f"{flow_run.id}/{flow_run.run_count}/{part}"
    run = run_deployment(f"{deployment}/{deployment}", parameters=parameters, timeout=0, idempotency_key=key)
    if not isinstance(run, FlowRun):
        raise TypeError("a run is started synchronously here")
    return run.id


def await_parts(parts: Sequence[UUID]) -> list[FlowRun]:
    """Return the runs once all have ended, in whatever state; if this run ends first, so do they."""
    with get_client(sync_client=True) as client:
        try:
            return _await(client, parts)
        except BaseException:
            # Prefect passes neither a cancellation nor a failure on to runs of deployments.
            _cancel(client, parts)
            raise


def completed(run: FlowRun) -> bool:
    """Return whether a run did what it was to do."""
    return run.state is not None and run.state.is_completed()


def state_name(run: FlowRun) -> str:
    """Return the name of a run's state."""
    return run.state.name or run.state.type.value if run.state else "no state"


def _await(client: SyncPrefectClient, parts: Sequence[UUID]) -> list[FlowRun]:
    while True:
        runs = [client.read_flow_run(part) for part in parts]
        if all(run.state is not None and run.state.is_final() for run in runs):
            return runs
        time.sleep(POLL_SECS)


def _cancel(client: SyncPrefectClient, parts: Sequence[UUID]) -> None:
    for part in parts:
        state = client.read_flow_run(part).state
        if state is not None and state.is_final():
            continue
        client.set_flow_run_state(part, Cancelling(message="The run that this one is a part of has ended."))
