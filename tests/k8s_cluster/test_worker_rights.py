"""The worker's Role is all it has, and all it needs."""

import pytest

from tests.k8s_cluster.cluster import Cluster
from tests.k8s_cluster.conftest import LAST_DAY
from tests.k8s_cluster.runs import Operator

WORKER, FLOWS = "prefect-worker", "seedtest-api"


@pytest.mark.parametrize("verb", ["get", "list", "watch", "create", "update", "patch", "delete"])
def test_the_worker_may_do_everything_with_jobs(verb: str, operator: Operator, cluster: Cluster) -> None:
    assert cluster.allows(WORKER, verb, "jobs.batch")


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "pods/exec"),
        ("get", "secrets"),
        ("list", "secrets"),
        ("get", "configmaps"),
        ("create", "serviceaccounts/token"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("list", "namespaces"),
        ("list", "nodes"),
    ],
)
def test_the_worker_may_do_nothing_else(
    verb: str, resource: str, operator: Operator, cluster: Cluster
) -> None:
    assert not cluster.allows(WORKER, verb, resource)


def test_the_worker_has_no_rights_elsewhere(operator: Operator, cluster: Cluster) -> None:
    assert not cluster.allows(WORKER, "list", "jobs.batch", namespace="default")
    assert not cluster.allows(WORKER, "list", "pods", namespace="kube-system")


def test_flow_pods_have_no_rights_at_all(operator: Operator, cluster: Cluster) -> None:
    assert not cluster.allows(FLOWS, "list", "pods")
    assert not cluster.allows(FLOWS, "create", "jobs.batch")


def test_the_worker_is_never_refused_anything(operator: Operator, cluster: Cluster) -> None:
    run = operator.start("aggregate-features-daily", date=str(LAST_DAY), dry_run=True)
    run.reaches("Completed")
    said = cluster.kubectl("logs", f"deployment/{WORKER}", "--tail=-1")
    assert [line for line in said.splitlines() if "forbidden" in line.lower()] == []
