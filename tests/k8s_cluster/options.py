"""What the tests have to be told of a cluster, by environment variables with usual values."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tests.conftest import ROOT


class Options(BaseSettings):
    """K8S_TEST_REPOSITORY, K8S_TEST_TAG, K8S_TEST_HOST."""

    model_config = SettingsConfigDict(env_prefix="K8S_TEST_", frozen=True)

    repository: str = Field(
        "localhost/seedtest", description="Registry and folder of the images, as the nodes name it"
    )
    tag: str | None = Field(None, description="Tag of the images; unset: the SHA of HEAD")
    host: str | None = Field(
        None, description="Address of this machine that pods reach; unset: the one facing the first node"
    )

    @property
    def version(self) -> str:
        """The images' tag."""
        return self.tag or _said(["git", "rev-parse", "HEAD"])


@dataclass(frozen=True)
class Target:
    """The cluster that KUBECONFIG names."""

    context: str
    version: str
    node_address: str


def find_target() -> Target:
    """Return the cluster; skips the test where KUBECONFIG names none."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster: nothing is run in pods")
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: nothing is run in pods")
    if not Path(os.environ["KUBECONFIG"].split(os.pathsep)[0]).is_file():
        pytest.skip(f"KUBECONFIG={os.environ['KUBECONFIG']} is not there: nothing is run in pods")
    context = _said(["kubectl", "config", "current-context"])
    kubectl = ["kubectl", "--context", context]
    node = json.loads(_said([*kubectl, "get", "nodes", "-o", "json"]))["items"][0]["status"]
    return Target(
        context=context,
        version=node["nodeInfo"]["kubeletVersion"],
        node_address=next(a["address"] for a in node["addresses"] if a["type"] == "InternalIP"),
    )


def _said(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
