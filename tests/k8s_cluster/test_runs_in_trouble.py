"""What becomes of runs that fail, meet, are cancelled, or whose pods are evicted, killed or out of memory."""

import time
from contextlib import AbstractContextManager

from sqlalchemy.engine import Engine

from seedtest.db.locks import stage_lock
from tests.k8s_cluster.cluster import Cluster, eventually
from tests.k8s_cluster.conftest import LAST_DAY
from tests.k8s_cluster.runs import Operator
from tests.k8s_cluster.servers import AlertReceiver

STAGE = "aggregate-features-daily"
ALERT_SECS = 60
GONE_SECS = 120
# The automation acts within a second of the event.
RERUN_SECS = 10
# Run within a pod: ends the process of the flow itself, beside the one that watches over it.
KILL = """
import os, pathlib, signal
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    if (folder / "cmdline").read_bytes().split(b"\\0")[1:3] == [b"-m", b"prefect.engine"]:
        os.kill(int(folder.name), signal.SIGKILL)
"""


def held(answers: Engine) -> AbstractContextManager[int]:
    """Hold the stage's lock: runs of it start, and wait."""
    return stage_lock(answers, STAGE, wait_secs=0)


def kill_flow(cluster: Cluster, pod: str) -> None:
    """End the flow's process as the kernel does when memory runs out."""
    cluster.kubectl("exec", pod, "--", "python", "-c", KILL)


def test_a_failing_flow_is_retried_and_fails_with_an_alert(operator: Operator, alerts: AlertReceiver) -> None:
    run = operator.start(STAGE, {"database_secret": "nobody-at-home"}, date=str(LAST_DAY))
    run.reaches("Failed")
    assert run.now.run_count == 2
    assert "AwaitingRetry" in run.history
    (subject,) = eventually(lambda: alerts.about(run.now.name), ALERT_SECS, "an alert")
    assert subject.endswith(f"{STAGE} failed")


def test_an_evicted_pod_s_run_goes_on_in_another(
    operator: Operator, cluster: Cluster, answers: Engine
) -> None:
    with held(answers):
        run = operator.start(STAGE, date=str(LAST_DAY))
        evicted = run.waits_in_its_pod()
        cluster.evict(evicted)
        run.waits_in_its_pod(after=evicted)
    run.reaches("Completed")
    assert "AwaitingRetry" in run.history
    eventually(lambda: not cluster.live_pods_of(str(run.id)), GONE_SECS, "all pods ended")


def test_a_killed_run_crashes_and_is_run_once_more(
    operator: Operator, cluster: Cluster, answers: Engine, alerts: AlertReceiver
) -> None:
    with held(answers):
        run = operator.start(STAGE, date=str(LAST_DAY))
        first = run.waits_in_its_pod()
        kill_flow(cluster, first)
        run.waits_in_its_pod(after=first)
    run.reaches("Completed")
    assert run.history.count("Crashed") == 1
    assert run.now.run_count == 2
    assert eventually(lambda: alerts.about(run.now.name), ALERT_SECS, "an alert")


def test_a_run_that_is_killed_again_stays_crashed(
    operator: Operator, cluster: Cluster, answers: Engine
) -> None:
    with held(answers):
        run = operator.start(STAGE, date=str(LAST_DAY))
        first = run.waits_in_its_pod()
        kill_flow(cluster, first)
        second = run.waits_in_its_pod(after=first)
        kill_flow(cluster, second)
        eventually(lambda: run.history.count("Crashed") == 2, GONE_SECS, "the second crash")
        time.sleep(RERUN_SECS)
    assert run.state == "Crashed"


def test_a_pod_out_of_memory_crashes_its_run_with_an_alert(
    operator: Operator, cluster: Cluster, alerts: AlertReceiver
) -> None:
    """The kernel ends it before the flow begins, so nothing counts an attempt, and nothing reruns it."""
    variables = {"memory_request": "64Mi", "memory_limit": "64Mi"}
    run = operator.start(STAGE, variables, date=str(LAST_DAY))
    eventually(lambda: run.state == "Crashed", GONE_SECS, "the crash")
    (pod,) = cluster.pods_of(str(run.id))
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"
    assert eventually(lambda: alerts.about(run.now.name), ALERT_SECS, "an alert")


def test_the_second_of_two_runs_waits_for_the_first(
    operator: Operator, cluster: Cluster, answers: Engine
) -> None:
    with held(answers):
        first = operator.start(STAGE, date=str(LAST_DAY))
        first.waits_in_its_pod()
        second = operator.start(STAGE, date=str(LAST_DAY))
        second.reaches("AwaitingConcurrencySlot", secs=GONE_SECS)
        assert not cluster.live_pods_of(str(second.id))
    first.reaches("Completed")
    second.reaches("Completed")
    ended, began = first.now.end_time, second.now.start_time
    assert ended is not None
    assert began is not None
    assert ended <= began


def test_a_cancelled_run_s_pod_is_gone(operator: Operator, cluster: Cluster, answers: Engine) -> None:
    with held(answers):
        run = operator.start(STAGE, date=str(LAST_DAY))
        run.waits_in_its_pod()
        operator.cancel(run)
        run.reaches("Cancelled", secs=GONE_SECS)
        eventually(lambda: not cluster.live_pods_of(str(run.id)), GONE_SECS, "the pod's end")
