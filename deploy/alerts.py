"""The automations: what the Prefect server does by itself when a run fails, hangs, or has nobody to run it.

| automation | when | then |
|---|---|---|
| `<deployment> failed` | a run of the deployment failed, timed out or crashed | alert |
| `crashed run` | a run crashed in its first attempt (killed, out of memory, node lost) | rerun it, once |
| `lost run` | a run gave no sign of life for ten minutes and had not ended | mark it crashed |
| `late run` | a run should have started and no worker took it | alert |
| `pending run` | a run was taken up fifteen minutes ago and has not started (image, quota, Secret) | alert |
| `run over <n> s` | a run is five minutes past its deadline | alert, cancel it |
| `slow calibration` | a calibration takes longer than 1800 s, on its own or within `nightly` | alert |
| `no worker` | a work pool has been without a worker for five minutes | alert |
| `parked sessions` | a drain gave up on sessions' θ and parked them | alert |

A rerun is the same run, so it has the parameters that the run had, and its count of attempts tells that it is
the second: a run that crashes again stays crashed. One that crashed before its first attempt began is not
rerun, since nothing would count it; it is alerted.
"""

from collections import defaultdict
from datetime import timedelta
from typing import Any

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, CancelFlowRun, ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from deploy.registry import Registry
from seedtest.theta_queue import PARKED_EVENT, QUEUE_RESOURCE
from seedtest.theta_trigger import DEPLOYMENT

PREFIX = "seedtest: "
CALIBRATION = "mirt-calibrate"
CALIBRATION_SECS = 1800
# Runs give a sign of life every three minutes, by Prefect's default; the server may be away for one.
SILENCE_SECS = 600
PENDING_SECS = 900
GRACE_SECS = 300
WORKERLESS_SECS = 300


def _runs(*states: str) -> set[str]:
    return {f"prefect.flow-run.{state}" for state in states}


# Events are called by a state's name, not by its type.
CRASHED = _runs("Crashed")
FAILED = _runs("Failed", "TimedOut", "Crashed")
STARTED = _runs("Running", "Retrying", "Rerunning")
ENDED = FAILED | _runs("Completed", "Cancelled", "Cancelling", "AwaitingRetry")


def automations(registry: Registry, pools: tuple[str, ...], alert: ActionTypes) -> tuple[AutomationCore, ...]:
    """Return every automation of an environment; `alert` is what an alert does."""
    names = [deployment.name for deployment in registry.deployments]
    return (
        *(_failed(name, alert) for name in names),
        _crashed(names),
        _lost(names),
        _late(names, alert),
        _pending(names, alert),
        *(_overdue(secs, overdue, alert) for secs, overdue in sorted(_by_deadline(registry).items())),
        *([_slow_calibration(alert)] if CALIBRATION in names else []),
        _no_worker(pools, alert),
        *([_parked_sessions(alert)] if DEPLOYMENT in names else []),
    )


def _failed(name: str, alert: ActionTypes) -> AutomationCore:
    trigger = _when(FAILED, related=_deployments(name))
    return _automation(f"{name} failed", f"A run of {name} failed, timed out or crashed.", trigger, alert)


def _crashed(names: list[str]) -> AutomationCore:
    return _automation(
        "crashed run",
        "A run that crashed in its first attempt is run once more.",
        _when(CRASHED, {"prefect.run-count": "1"}, related=_deployments(*names)),
        ChangeFlowRunState(
            state=StateType.SCHEDULED,
            name="AwaitingRetry",
            message="Crashed; run once more by an automation.",
        ),
    )


def _lost(names: list[str]) -> AutomationCore:
    # By its flow: signs of life do not name their deployment.
    trigger = _unless(_runs("heartbeat"), ENDED | _runs("heartbeat"), SILENCE_SECS, _related("flow", *names))
    return _automation(
        "lost run",
        f"A run without a sign of life for {SILENCE_SECS} s has crashed.",
        trigger,
        ChangeFlowRunState(state=StateType.CRASHED, message=f"No sign of life for {SILENCE_SECS} s."),
    )


def _late(names: list[str], alert: ActionTypes) -> AutomationCore:
    trigger = _when(_runs("Late"), related=_deployments(*names))
    return _automation("late run", "A run should have started, and no worker has taken it.", trigger, alert)


def _pending(names: list[str], alert: ActionTypes) -> AutomationCore:
    taken_on = STARTED | ENDED | _runs("AwaitingConcurrencySlot", "Scheduled")
    return _automation(
        "pending run",
        f"A run was taken up {PENDING_SECS} s ago and has not started.",
        _unless(_runs("Pending"), taken_on, PENDING_SECS, _deployments(*names)),
        alert,
    )


def _overdue(deadline_secs: int, names: list[str], alert: ActionTypes) -> AutomationCore:
    return _automation(
        f"run over {deadline_secs} s",
        f"A run is {GRACE_SECS} s past its deadline of {deadline_secs} s.",
        _unless(STARTED, ENDED, deadline_secs + GRACE_SECS, _deployments(*names)),
        alert,
        CancelFlowRun(),
    )


def _slow_calibration(alert: ActionTypes) -> AutomationCore:
    # By its flow, so that the calibration within `nightly` counts too.
    trigger = _unless(STARTED, ENDED, CALIBRATION_SECS, _related("flow", CALIBRATION))
    why = f"A calibration takes longer than {CALIBRATION_SECS} s."
    return _automation("slow calibration", why, trigger, alert)


def _no_worker(pools: tuple[str, ...], alert: ActionTypes) -> AutomationCore:
    labels = {"prefect.resource.id": "prefect.work-pool.*", "prefect.resource.name": [*pools]}
    trigger = EventTrigger(
        posture=Posture.Proactive,
        match=_specification(labels),
        for_each={"prefect.resource.id"},
        after={"prefect.work-pool.not-ready"},
        expect={"prefect.work-pool.ready"},
        within=timedelta(seconds=WORKERLESS_SECS),
    )
    why = f"A work pool has been without a worker for {WORKERLESS_SECS} s."
    return _automation("no worker", why, trigger, alert)


def _parked_sessions(alert: ActionTypes) -> AutomationCore:
    trigger = EventTrigger(
        posture=Posture.Reactive,
        match=_specification({"prefect.resource.id": QUEUE_RESOURCE}),
        expect={PARKED_EVENT},
    )
    why = "Sessions were given up and wait for a person: `seedtest theta list --parked` gives the reasons."
    return _automation("parked sessions", why, trigger, alert)


def _by_deadline(registry: Registry) -> dict[int, list[str]]:
    found = defaultdict(list)
    for deployment in registry.deployments:
        deadline_secs = deployment.work_pool.job_variables.get("active_deadline_seconds")
        if deadline_secs is not None:
            found[int(deadline_secs)].append(deployment.name)
    return found


def _automation(name: str, why: str, trigger: EventTrigger, *actions: ActionTypes) -> AutomationCore:
    # Said, not left to the default: what is left unset is not sent, and a paused one stays so.
    return AutomationCore(
        name=PREFIX + name, description=why, enabled=True, trigger=trigger, actions=[*actions]
    )


def _when(events: set[str], labels: dict[str, str] | None = None, *, related: dict[str, Any]) -> EventTrigger:
    """Fire at each of the events."""
    return EventTrigger(
        posture=Posture.Reactive,
        match=_specification({"prefect.resource.id": "prefect.flow-run.*", **(labels or {})}),
        match_related=_specification(related),
        for_each={"prefect.resource.id"},
        expect=events,
    )


def _unless(after: set[str], expect: set[str], within_secs: int, related: dict[str, Any]) -> EventTrigger:
    """Fire for a run that shows none of the events expected within a time after the others."""
    return EventTrigger(
        posture=Posture.Proactive,
        match=_specification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=_specification(related),
        for_each={"prefect.resource.id"},
        after=after,
        expect=expect,
        within=timedelta(seconds=within_secs),
    )


def _deployments(*names: str) -> dict[str, Any]:
    return _related("deployment", *names)


def _related(role: str, *names: str) -> dict[str, Any]:
    return {"prefect.resource.role": role, "prefect.resource.name": [*names]}


def _specification(labels: dict[str, Any]) -> ResourceSpecification:
    return ResourceSpecification.model_validate(labels)
