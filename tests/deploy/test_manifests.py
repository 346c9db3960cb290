"""The cluster's side of a deployment, as far as it goes without a cluster."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.environment import ROOT, load_environment
from deploy.images import IMAGES, deploy_images
from deploy.manifests import deploy_manifests, rendered
from seedtest.errors import ConfigurationError

SHA = "0123456789abcdef0123456789abcdef01234567"
STAGING = load_environment("staging")

SECRET_VARIABLES = (
    "DATABASE_URL",
    "R_IRT_INTERNAL_TOKEN",
    "WEBHOOK_SECRET",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "PREFECT_API_AUTH_STRING",
)

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


def files_of_overlays() -> set[Path]:
    return set((ROOT / "k8s").rglob("*")) | set(ROOT.glob(".deploy-*"))


def variables_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the environment of every container of an object."""
    pod = document.get("spec", {}).get("template", {}).get("spec", {})
    containers = [*pod.get("initContainers", []), *pod.get("containers", [])]
    return [entry for container in containers for entry in container.get("env", [])]


@needs_kubectl
@pytest.mark.parametrize("name", ["staging", "prod"])
def test_every_image_of_ours_is_tagged_by_the_sha(name: str) -> None:
    environment = load_environment(name)
    assert environment.cluster is not None
    assert environment.images is not None
    before = files_of_overlays()
    manifests = rendered(environment.cluster, environment.images, ROOT, SHA)
    assert files_of_overlays() == before
    assert "not-deployed" not in manifests
    kinds = {document["kind"] for document in YAML(typ="safe", pure=True).load_all(manifests)}
    assert {"Namespace", "Deployment"} <= kinds
    for image in IMAGES:
        if image.name in manifests:
            assert image.reference(environment.images, SHA) in manifests


@needs_kubectl
@pytest.mark.parametrize("name", ["staging", "prod"])
def test_what_is_applied_holds_no_secret_and_names_where_each_lies(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A line of settings.env without a value would be filled in from here.
    for variable in SECRET_VARIABLES:
        monkeypatch.setenv(variable, f"planted-{variable}")
    environment = load_environment(name)
    assert environment.cluster is not None
    assert environment.images is not None
    manifests = rendered(environment.cluster, environment.images, ROOT, SHA)
    assert "planted" not in manifests
    documents = list(YAML(typ="safe", pure=True).load_all(manifests))
    assert [document for document in documents if document["kind"] == "Secret"] == []
    given = [entry for document in documents for entry in variables_of(document)]
    secret = [entry for entry in given if entry["name"] in SECRET_VARIABLES]
    assert {entry["name"] for entry in secret} >= {"DATABASE_URL", "WEBHOOK_SECRET", "R_IRT_INTERNAL_TOKEN"}
    assert [entry["name"] for entry in secret if "secretKeyRef" not in entry.get("valueFrom", {})] == []


@needs_kubectl
def test_a_context_that_kubectl_does_not_know_stops_the_deployment() -> None:
    with pytest.raises(ConfigurationError, match="context was not found"):
        deploy_manifests(STAGING, ROOT, SHA, dry_run=True)


@needs_kubectl
def test_a_cluster_that_is_away_stops_the_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert STAGING.cluster is not None
    file = tmp_path / "kubeconfig"
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "nobody", "user": {"token": "none"}}],
        "contexts": [{"name": STAGING.cluster.context, "context": {"cluster": "nowhere", "user": "nobody"}}],
    }
    file.write_text(json.dumps(made), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(ConfigurationError, match=r"get namespace seedtest(?s:.*)127\.0\.0\.1:9 was refused"):
        deploy_manifests(STAGING, ROOT, SHA, dry_run=True)


def test_the_targets_of_the_images_are_those_of_the_dockerfile() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for image in IMAGES:
        assert f" AS {image.target}\n" in text


def test_missing_programs_stop_the_deployment_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"images needs docker or podman.*SKIP=images"):
        deploy_images(STAGING, ROOT, SHA, dry_run=True)
    with pytest.raises(ConfigurationError, match=r"manifests needs kubectl.*SKIP=manifests"):
        deploy_manifests(STAGING, ROOT, SHA, dry_run=True)


def test_the_embedded_stack_has_neither_images_nor_manifests() -> None:
    local = load_environment("local")
    assert deploy_images(local, ROOT, SHA, dry_run=False) == ()
    assert deploy_manifests(local, ROOT, SHA, dry_run=False) == ()


def test_make_says_what_it_deploys() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    said = subprocess.run(
        ["make", "--dry-run", "deploy", "ENV=staging", "DRY_RUN=1", "SHA=0123abc", "SKIP=images"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = " ".join(said.replace("\\\n", " ").split())
    assert '-m deploy --env "staging" --dry-run --sha "0123abc" --skip "images"' in command
