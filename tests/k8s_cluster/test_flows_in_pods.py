"""Every flow runs in real pods, and what its pod gets is what the template says."""

import json
from typing import Any

import pytest
import sqlalchemy as sa
from ruamel.yaml import YAML
from sqlalchemy.engine import Engine

from tests.conftest import ROOT
from tests.k8s_cluster.cluster import RUN_LABEL, Cluster, Resource, eventually
from tests.k8s_cluster.conftest import LAST_DAY, WEEK
from tests.k8s_cluster.runs import Operator
from tests.k8s_cluster.servers import PrefectServer, ReachablePostgres
from tests.k8s_cluster.storage import Bucket

DEPLOYMENTS = [d["name"] for d in YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")["deployments"]]
# Its runs are processes of the theta-worker; test_theta_api.py has them started as a session's end does.
WITHOUT_A_POD = "update-theta"
# The only folder that can be written.
TMP = "/tmp"  # noqa: S108 (the pods', not ours)
# Prefect sends log lines in batches.
LOG_SECS = 20
DAY = {"date": str(LAST_DAY)}
GIVEN: dict[str, dict[str, Any]] = {
    "compute-daily-kpis": DAY,
    "aggregate-features-daily": DAY,
    "compute-daily-kpis-shard": DAY | {"shard": 0, "shards": 4, "full": True},
    "aggregate-features-daily-shard": DAY | {"shard": 0, "shards": 4, "full": True},
    "mirt-calibrate": DAY,
    "nightly": DAY,
    "generate-weekly-report": {"week": str(LAST_DAY)},
    "generate-weekly-report-shard": {"week": str(WEEK), "shard": 0, "shards": 4, "force": True},
    "theta-sweep": {},
    "backfill": {"flow": "compute-daily-kpis", "from_date": str(WEEK), "to_date": str(LAST_DAY)},
    "housekeeping": {"dry_run": True},
}
WRITES = {
    "compute-daily-kpis": "weekly_kpi",
    "aggregate-features-daily": "features_topic_daily",
    "compute-daily-kpis-shard": "weekly_kpi",
    "aggregate-features-daily-shard": "features_topic_daily",
    "mirt-calibrate": "mirt_ability",
    "nightly": "mirt_fit_meta",
    "generate-weekly-report": "report_artifacts",
    "generate-weekly-report-shard": "report_artifacts",
    "backfill": "backfill_window WHERE status = 'done'",
}


# First, while there is something to compute, and no pod of a shard but these.
@pytest.mark.parametrize("name", ["compute-daily-kpis", "aggregate-features-daily"])
def test_a_stage_is_dealt_out_to_several_pods(
    name: str, operator: Operator, cluster: Cluster, answers: Engine
) -> None:
    operator.start(name, date=str(LAST_DAY), shards=4).reaches("Completed")
    assert len(cluster.listed("pods", "--selector", f"app={name}-shard")) == 4
    with answers.connect() as connection:
        assert connection.scalar(sa.text(f"SELECT count(*) FROM {WRITES[name]}")) > 0


@pytest.mark.parametrize("name", [name for name in DEPLOYMENTS if name != WITHOUT_A_POD])
def test_a_flow_completes_in_a_pod(name: str, operator: Operator, cluster: Cluster, answers: Engine) -> None:
    run = operator.start(name, **GIVEN[name])
    run.reaches("Completed")
    (pod,) = cluster.pods_of(str(run.id))
    labels = pod["metadata"]["labels"]
    assert (labels["app"], labels["cronjob"]) == (name, name)
    assert pod["metadata"]["name"].startswith(f"{name}-")
    assert pod["spec"]["serviceAccountName"] == "seedtest-api"
    if name in WRITES:
        with answers.connect() as connection:
            assert connection.scalar(sa.text(f"SELECT count(*) FROM {WRITES[name]}"))
    if name == DEPLOYMENTS[0]:
        assert_confined(pod)


def assert_confined(pod: Resource) -> None:
    """What Kubernetes made of the pod, not what it was asked for."""
    (container,) = pod["spec"]["containers"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"]["drop"] == ["ALL"]
    assert pod["spec"]["securityContext"]["runAsUser"] == 10001
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert mounts == [TMP], "no token of the Kubernetes API is mounted"


def test_a_calibration_asks_the_irt_service_of_the_namespace(operator: Operator, cluster: Cluster) -> None:
    """By the Service's address, since not every cluster that is tried has a DNS."""
    address = cluster.one("service", "r-irt-plumber")["spec"]["clusterIP"]
    variables = {"env": {"IRT_ENGINE": "http", "R_IRT_BASE_URL": f"http://{address}:80"}}
    run = operator.start("mirt-calibrate", variables, date=str(LAST_DAY))
    run.reaches("Completed")
    assert "/irt/calibrate" in cluster.kubectl("logs", "deployment/r-irt-plumber", "--tail=-1")


def test_what_the_core_logs_stands_in_the_run_s_log(operator: Operator) -> None:
    run = operator.start("mirt-calibrate", date=str(LAST_DAY))
    run.reaches("Completed")
    eventually(lambda: "EM converged" in run.log, LOG_SECS, "the engine's line")


def test_no_secret_stands_in_a_job_or_in_a_log(
    operator: Operator,
    cluster: Cluster,
    postgres: ReachablePostgres,
    server: PrefectServer,
    bucket: Bucket,
    webhook_secret: str,
) -> None:
    run = operator.start("aggregate-features-daily", date=str(LAST_DAY))
    run.reaches("Completed")
    pods = json.dumps([cluster.listed("jobs"), cluster.listed("pods")])
    logs = cluster.kubectl("logs", "--selector", f"{RUN_LABEL}={run.id}", "--tail=-1") + run.log
    for name in ("seedtest-api", "theta-worker"):
        logs += cluster.kubectl("logs", f"deployment/{name}", "--all-containers", "--tail=-1")
    for secret in (postgres.password, server.auth.partition(":")[2], bucket.secret, webhook_secret):
        assert secret not in pods
        assert secret not in logs
