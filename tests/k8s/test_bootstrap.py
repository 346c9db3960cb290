"""The script for Google's side, as far as it can be tried without Google."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.k8s.manifests import K8S, entries, overlay

SCRIPT = K8S / "bootstrap-gcp.sh"


def dry_run(path: str, **settings: str) -> str:
    done = subprocess.run(
        [SCRIPT],
        env={"PATH": path, "DRY_RUN": "1", **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_it_is_sound_shell() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: only the syntax was checked")
    subprocess.run(["shellcheck", SCRIPT], check=True)


def test_a_dry_run_prints_every_command_and_needs_no_gcloud(tmp_path: Path) -> None:
    for program in ("bash", "env"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    commands = [line for line in dry_run(str(tmp_path)).splitlines() if line.startswith("gcloud ")]
    assert all("--project=univprepai" in line or " univprepai " in line for line in commands)
    for account, role in (
        ("seedtest-api", "roles/cloudsql.client"),
        ("eso-secret-accessor", "roles/secretmanager.secretAccessor"),
    ):
        address = f"{account}@univprepai.iam.gserviceaccount.com"
        assert any(f"iam service-accounts create {account} " in line for line in commands)
        assert any(f"serviceAccount:{address}" in line and f"--role={role}" in line for line in commands)
        assert any(
            address in line
            and "roles/iam.workloadIdentityUser" in line
            and rf"univprepai.svc.id.goog\[seedtest/{account}\]" in line
            for line in commands
        )


def test_it_makes_every_entry_that_external_secrets_read() -> None:
    told = dry_run(os.environ["PATH"])
    read = {
        key
        for resource in overlay("prod")
        if resource["kind"] == "ExternalSecret"
        for key in entries(resource["spec"]).values()
    }
    made = {line.split()[3] for line in told.splitlines() if line.startswith("gcloud secrets create ")}
    assert made == read


def test_another_project_is_a_setting() -> None:
    told = dry_run(os.environ["PATH"], PROJECT="elsewhere", NAMESPACE="trial")
    assert "univprepai" not in told
    assert r"elsewhere.svc.id.goog\[trial/seedtest-api\]" in told


def test_without_gcloud_it_says_so_and_does_nothing(tmp_path: Path) -> None:
    for program in ("bash", "env"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    done = subprocess.run([SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "gcloud is not installed" in done.stderr
    assert done.stdout == ""
