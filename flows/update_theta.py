"""The θ of every learner whose session has ended: one run works off all that waits."""

import datetime as dt

from prefect.events import emit_event

from flows.artifacts import publish_summary, publish_table
from flows.settings import run_settings
from flows.stage import StageSummary, run_logger, stage, stage_flow, timed
from seedtest.db.theta_requests import RequestStatus, SessionRequest, listed
from seedtest.settings import Settings
from seedtest.theta_drain import Drained, drain
from seedtest.theta_queue import PARKED_EVENT, QUEUE_RESOURCE

STAGE = "update-theta"
RETRIES = 2
MOST_PARKED_SHOWN = 1000


@stage_flow(STAGE, retries=RETRIES)
def update_theta() -> StageSummary:
    """Update the θ of all learners whose sessions wait for it; sessions that are given up are parked."""
    return work_off(STAGE, run_settings())


def work_off(name: str, settings: Settings) -> StageSummary:
    """Drain the queue, alone; say what was done under the name of the flow that did it."""
    today = dt.datetime.now(dt.UTC).date()
    with timed(StageSummary(stage=name, date=today)) as summary, stage(STAGE, settings) as engine:
        drained = drain(engine, settings)
        parked: list[SessionRequest] = []
        if drained.parked:
            with engine.connect() as connection:
                parked = listed(connection, [RequestStatus.PARKED], most=MOST_PARKED_SHOWN)
    _describe(summary, drained)
    run_logger().info("θ drained: %s", ", ".join(f"{n} {what}" for what, n in summary.counts.items()))
    publish_summary(summary, _warnings(drained))
    if parked:
        _tell_of_parked(name, drained, parked)
    return summary


def _describe(summary: StageSummary, drained: Drained) -> None:
    summary.counts = {
        "requests": drained.requests,
        "learners": drained.learners,
        "done": drained.outcomes[RequestStatus.DONE],
        "noop": drained.outcomes[RequestStatus.NOOP],
        "to be tried again": drained.outcomes[RequestStatus.PENDING],
        "parked": drained.outcomes[RequestStatus.PARKED],
        "batches": drained.batches,
    }
    summary.facts = {
        "oldest request's wait": f"{drained.oldest_wait_secs:.1f} s",
        "drain": f"{drained.seconds:.3f} s",
    }


def _warnings(drained: Drained) -> list[str]:
    if not drained.parked:
        return []
    what = f"{len(drained.parked)} sessions were given up: the artifact {STAGE}-parked gives the reasons"
    return [f"{what}. Mend the cause, then run: seedtest theta replay --all"]


def _tell_of_parked(name: str, drained: Drained, parked: list[SessionRequest]) -> None:
    """Show all that are parked, and give the alert its sign; the run itself has done its work."""
    table = [
        {
            "session_id": request.session_id,
            "user_id": request.user_id,
            "attempts": request.attempts,
            "reason": request.reason,
            "parked_at": f"{request.updated_at:%Y-%m-%d %H:%M:%S}",
        }
        for request in parked
    ]
    publish_table(f"{STAGE}-parked", table, f"Sessions that were given up, and why: {len(table)}")
    emit_event(
        PARKED_EVENT,
        resource={"prefect.resource.id": QUEUE_RESOURCE, "prefect.resource.name": name},
        payload={"newly parked": len(drained.parked)},
    )
