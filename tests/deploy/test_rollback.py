"""Going back to an earlier commit, by the command that make runs."""

import pytest
from prefect.client.orchestration import SyncPrefectClient

from deploy.deployments import read_present
from deploy.registry import FILE
from tests.deploy.projects import Project, git

SERVER_STEPS = ("--only", "work-pools,blocks,deployments")


@pytest.mark.heavy
def test_a_rollback_deploys_the_image_and_the_files_of_an_earlier_commit(
    project: Project, client: SyncPrefectClient
) -> None:
    first = git(project.root, "rev-parse", "HEAD")
    project.edit("flows/nightly.py", "Last UTC day whose", "The last UTC day whose")
    project.edit(FILE, '"0 3 * * *"', '"30 3 * * *"')
    second = project.commit()
    assert f"staging at version {second}" in project.command(*SERVER_STEPS)
    said = project.command(*SERVER_STEPS, "--sha", first[:12])
    assert f"  nightly: version {second} → {first}" in said
    assert "  mirt-calibrate: schedules.nightly-0300.cron 30 3 * * * → 0 3 * * *" in said
    for deployment in client.read_deployments():
        assert deployment.version == first
        if "image" in deployment.job_variables:
            assert deployment.job_variables["image"].endswith(f":{first}")
    nightly = read_present("nightly", client)
    assert nightly is not None
    assert nightly.parameter_openapi_schema is not None
    date = nightly.parameter_openapi_schema["properties"]["date"]
    assert date["description"].startswith("Last UTC day whose")
    assert git(project.root, "rev-parse", "HEAD") == second
    assert len(git(project.root, "worktree", "list").splitlines()) == 1
