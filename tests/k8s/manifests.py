"""What kustomize makes of an overlay, and how to find things in it."""

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it says nothing of its types
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
VERSIONS = ("1.29", "1.31", "1.33", "1.37")
PROXY_ARGS = ["--structured-logs", "--port=5432", "$(CLOUD_SQL_INSTANCE)"]
OVERLAYS = ("staging", "prod", "bare")
# Components came with version 4; kubectl tells its own since then.
OLDEST_KUSTOMIZE = 4

Resource = dict[str, Any]


def load_all(text: str) -> list[Resource]:
    return [document for document in YAML(typ="safe", pure=True).load_all(text) if document]


@functools.cache
def kustomize() -> tuple[str, ...]:
    """The command that builds a kustomization; skips the test where there is none."""
    if path := shutil.which("kustomize"):
        return (path, "build")
    path = shutil.which("kubectl")
    if path is None:
        pytest.skip("neither kubectl nor kustomize is installed: manifests are not checked")
    told = subprocess.run(
        [path, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True
    )
    version = json.loads(told.stdout).get("kustomizeVersion", "v2")
    if int(version.lstrip("v").split(".")[0]) < OLDEST_KUSTOMIZE:
        pytest.skip(
            f"this kubectl has kustomize {version}, too old for components: manifests are not checked"
        )
    return (path, "kustomize")


@functools.cache
def rendered(folder: Path) -> str:
    done = subprocess.run([*kustomize(), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def overlay(name: str) -> list[Resource]:
    return load_all(rendered(K8S / "overlays" / name))


def one(resources: list[Resource], kind: str, name: str) -> Resource:
    found = [r for r in resources if r["kind"] == kind and r["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pod_specs(resources: list[Resource]) -> dict[str, Resource]:
    return {
        r["metadata"]["name"]: r["spec"]["template"]["spec"] for r in resources if r["kind"] == "Deployment"
    }


def validate(resource: Resource, version: str) -> None:
    """Raise unless the version's schema knows every field and value."""
    kubernetes_validate.validate(resource, version, strict=True)


def entries(external_secret: Resource) -> dict[str, str]:
    """The keys of the Secret that a spec makes, and the entries of Secret Manager behind them."""
    return {entry["secretKey"]: entry["remoteRef"]["key"] for entry in external_secret["data"]}
