"""`make deploy` and `make undeploy` of the manifests: what differs is told, applied, and taken away again."""

import secrets
from collections.abc import Iterator

import pytest

from tests.deploy.projects import Project, make_project
from tests.k8s_cluster.cluster import Cluster
from tests.k8s_cluster.conftest import READY
from tests.k8s_cluster.installation import OVERLAY
from tests.k8s_cluster.options import Options, Target

NOBODY = "http://127.0.0.1:9/api"
SETTINGS = "seedtest-settings"
# Of the overlay's Deployments the one that needs no Secret.
SERVICE = "r-irt-plumber"
WORKLOADS = {"prefect-worker", "theta-worker", SERVICE, "seedtest-api"}


@pytest.fixture(scope="module")
def throwaway(target: Target) -> Iterator[Cluster]:
    """A namespace that the deployment makes, and only the test deletes."""
    made = Cluster(target.context, f"seedtest-deploy-{secrets.token_hex(3)}")
    yield made
    # The θ worker's pod takes its time to end; nothing here waits for it.
    made.kubectl("delete", "namespace", made.namespace, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def project(throwaway: Cluster, options: Options, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone that is deployed to that namespace."""
    made = make_project(tmp_path_factory.mktemp("clone") / "project", NOBODY)
    for file, line in (("kustomization", "namespace: {}"), ("namespace", "name: {}")):
        made.edit(f"k8s/base/{file}.yaml", line.format("seedtest"), line.format(throwaway.namespace))
    made.describe(
        "staging",
        cluster={"context": throwaway.context, "overlay": OVERLAY},
        images={"repository": options.repository},
    )
    return made


@pytest.fixture(scope="module")
def only(options: Options) -> tuple[str, ...]:
    """The manifests, with images that are there already."""
    return ("--only", "manifests", "--version", options.version)


def setting(throwaway: Cluster) -> str:
    values: dict[str, str] = throwaway.one("configmap", SETTINGS)["data"]
    return values["R_IRT_TIMEOUT_SECS"]


def test_a_change_is_applied_alone_and_the_same_again_changes_nothing(
    project: Project, throwaway: Cluster, only: tuple[str, ...]
) -> None:
    fresh = f"cluster: everything in the new namespace {throwaway.namespace} created"
    assert fresh in project.command(*only, "--dry-run")
    assert throwaway.attempt("get", "namespace", throwaway.namespace).returncode != 0
    assert fresh in project.command(*only)
    throwaway.rolled_out(SERVICE, READY)
    assert "staging: no change" in project.command(*only)

    project.edit("k8s/base/settings.env", "R_IRT_TIMEOUT_SECS=60", "R_IRT_TIMEOUT_SECS=90")
    told = [
        f"  cluster v1.ConfigMap.{throwaway.namespace}.{SETTINGS}: ",
        '    -  R_IRT_TIMEOUT_SECS: "60"',
        '    +  R_IRT_TIMEOUT_SECS: "90"',
    ]
    said = project.command(*only, "--dry-run").splitlines()
    assert [line for line in said if line.startswith("  ")] == told
    assert setting(throwaway) == "60"
    said = project.command(*only).splitlines()
    assert [line for line in said if line.startswith("  ")] == told
    assert setting(throwaway) == "90"
    assert "staging: no change" in project.command(*only)


def test_what_somebody_changed_by_hand_is_put_back(
    project: Project, throwaway: Cluster, only: tuple[str, ...]
) -> None:
    project.command(*only)
    throwaway.kubectl("delete", "service", SERVICE)
    throwaway.kubectl("set", "image", f"deployment/{SERVICE}", "irt-service=somebody/elses:1")
    said = project.command(*only)
    assert f"cluster v1.Service.{throwaway.namespace}.{SERVICE}" in said
    assert "-        image: somebody/elses:1" in said
    assert "staging: no change" in project.command(*only)


def test_undeploying_takes_all_away_but_the_namespace_and_secrets(
    project: Project, throwaway: Cluster, only: tuple[str, ...]
) -> None:
    project.command(*only)
    throwaway.secret("seedtest-db-credentials", DATABASE_URL="postgresql://nobody")
    said = project.command("--only", "manifests", "--dry-run", does="undeploy")
    assert f'"{SERVICE}" deleted' in said
    assert {found["metadata"]["name"] for found in throwaway.listed("deployments")} == WORKLOADS
    project.command("--only", "manifests", "--yes", does="undeploy")
    assert throwaway.listed("deployments,services,roles,networkpolicies") == []
    assert "Active" in throwaway.kubectl("get", "namespace", throwaway.namespace)
    throwaway.one("secret", "seedtest-db-credentials")
    assert "staging: no change" in project.command("--only", "manifests", "--yes", does="undeploy")
