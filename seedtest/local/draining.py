"""Flow runs that are going while the stack is stopped: a time to finish, then an honest state."""

import logging
import time
from dataclasses import dataclass

import psutil

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.repair import close_runs
from seedtest.local.supervision.processes import marked_processes
from seedtest.prefect_client.api import PrefectApi
from seedtest.say import Say

logger = logging.getLogger(__name__)

# Prefect tells a run's process so which run it is.
_RUN_ID = "PREFECT__FLOW_RUN_ID"
_PAUSE_SECS = 0.5
_API_PATIENCE_SECS = 3.0


@dataclass(frozen=True)
class GoingRuns:
    """Flow runs with a living process of this stack."""

    run_ids: frozenset[str]
    # The server that they report to.
    prefect_api_url: str | None


def going_runs(folder: StackFolder) -> GoingRuns:
    """Return the flow runs whose processes belong to the stack."""
    run_ids: set[str] = set()
    url: str | None = None
    for process in marked_processes(folder.home):
        try:
            environment = process.environ()
        except psutil.Error:
            # It has just ended.
            continue
        if _RUN_ID in environment:
            run_ids.add(environment[_RUN_ID])
            url = environment.get("PREFECT_API_URL")
    return GoingRuns(frozenset(run_ids), url)


def let_runs_finish(folder: StackFolder, *, grace_secs: float, say: Say) -> GoingRuns:
    """Wait for flow runs to end; return those that are still going when the time or patience is over."""
    going = going_runs(folder)
    if not going.run_ids or grace_secs <= 0:
        return going
    say(f"Waiting up to {grace_secs:.0f} s for {len(going.run_ids)} flow runs to end; Ctrl-C stops them now")
    deadline = time.monotonic() + grace_secs
    try:
        while going.run_ids and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECS)
            going = going_runs(folder)
    except KeyboardInterrupt:
        say("Stopping the flow runs now")
    return going


def close_stopped_runs(going: GoingRuns, say: Say) -> None:
    """Tell the server which runs have been stopped with the stack, as their processes cannot."""
    if not going.run_ids or going.prefect_api_url is None:
        return
    with PrefectApi(going.prefect_api_url, patience_secs=_API_PATIENCE_SECS) as api:
        try:
            close_runs(api, [api.flow_run(run_id) for run_id in sorted(going.run_ids)], say)
        except StackError as error:
            # The next start sets right what the server believes of them.
            logger.warning("Stopped flow runs keep their last state for now: %s", error)
