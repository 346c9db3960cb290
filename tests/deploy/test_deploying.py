"""Deploying to a real server, again, after a change, and back: the tests are one story, in their order."""

from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.actions import DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger

from deploy.alerts import PREFIX, automations
from deploy.automations import alert_action, comparable, our_automations
from deploy.deployments import described, read_present, wanted
from deploy.environment import load_environment
from deploy.registry import FILE, Registry
from deploy.steps import strangers
from deploy.work_pools import wanted_pool
from seedtest.errors import ConfigurationError
from tests.deploy.conftest import save_block
from tests.deploy.projects import Project, git

pytestmark = pytest.mark.heavy

CRONS = {
    "compute-daily-kpis": "10 2 * * *",
    "aggregate-features-daily": "25 2 * * *",
    "mirt-calibrate": "0 3 * * *",
    "nightly": None,
    "update-theta": None,
    "theta-sweep": "*/5 * * * *",
    "backfill": None,
    "housekeeping": "0 1 * * *",
}
STAGING = load_environment("staging")
ADDRESS = "https://hooks.slack.example/services/T0/B0/planted-secret"


@pytest.fixture(scope="module", autouse=True)
def alerts_block(client: SyncPrefectClient) -> None:
    """What an operator makes by hand: the address that alerts go to."""
    save_block(client, "slack-webhook/seedtest-alerts", {"url": ADDRESS})


def state_of(client: SyncPrefectClient) -> dict[str, Any]:
    """Everything that a deployment writes, as the API gives it."""
    pools = {pool.name: pool.model_dump(mode="json", exclude={"status"}) for pool in client.read_work_pools()}
    return {
        "deployments": sorted((d.name, str(d.updated)) for d in client.read_deployments()),
        "automations": sorted(a.model_dump_json() for a in client.read_automations()),
        "pools": pools,
        "variables": sorted((v.name, str(v.value)) for v in client.read_variables()),
        "blocks": sorted((d.name or "", str(d.updated)) for d in client.read_block_documents()),
    }


def registry_of(project: Project) -> Registry:
    return project.release().registry


def test_a_dry_run_says_everything_and_touches_nothing(project: Project, client: SyncPrefectClient) -> None:
    before = state_of(client)
    said = project.deploy(dry_run=True)
    assert {
        "work pool seedtest-kubernetes: created",
        "s3-bucket/seedtest-reports: created",
        "nightly: created",
        "automation crashed run: created",
    } <= set(said)
    assert state_of(client) == before


def test_the_first_deployment_makes_what_the_files_say(project: Project, client: SyncPrefectClient) -> None:
    foreseen = project.deploy(dry_run=True)
    assert project.deploy() == foreseen
    assert not any(ADDRESS in change for change in foreseen)
    registry = registry_of(project)
    for deployment in registry.deployments:
        present = read_present(deployment.name, client)
        assert present is not None
        assert described(present) == wanted(deployment, registry, project.root)
        assert present.version == git(project.root, "rev-parse", "HEAD")
        # A process has its worker's image; all Jobs have one of this version.
        if "image" in deployment.work_pool.job_variables:
            assert present.job_variables["image"].endswith(f":{present.version}")
    for pool in STAGING.work_pools:
        found = client.read_work_pool(pool.name).model_dump()
        assert {name: found[name] for name in wanted_pool(pool, STAGING.cluster)} == wanted_pool(
            pool, STAGING.cluster
        )


def test_every_deployment_has_the_contracts_schedule_limit_and_form(client: SyncPrefectClient) -> None:
    for name, cron in CRONS.items():
        present = read_present(name, client)
        assert present is not None
        found = described(present)
        assert [schedule["cron"] for schedule in found["schedules"].values()] == ([cron] if cron else [])
        assert all(s["active"] and s["timezone"] == "UTC" for s in found["schedules"].values())
        limit = found["concurrency_limit"]
        assert (limit["limit"], limit["collision_strategy"]) == (1, "ENQUEUE")
        assert found["enforce_parameter_schema"] is True
        if "nightly" in found["tags"]:
            assert "date" in found["parameter_schema"]["properties"]
        elif name in {"backfill", "housekeeping"}:
            assert "dry_run" in found["parameter_schema"]["properties"]
        else:
            assert found["parameter_schema"]["properties"] == {}
        assert found["pull_steps"][0]["prefect.deployments.steps.set_working_directory"] == {
            "directory": "/opt/seedtest"
        }


def test_the_automations_are_those_of_the_code(project: Project, client: SyncPrefectClient) -> None:
    pools = tuple(pool.name for pool in STAGING.work_pools)
    declared = automations(registry_of(project), pools, alert_action(STAGING, client))
    present = our_automations(client)
    assert {one.name: comparable(one) for one in declared} == {
        name: comparable(one) for name, one in present.items()
    }
    assert all(one.enabled for one in present.values())


def test_the_second_deployment_changes_nothing(project: Project, client: SyncPrefectClient) -> None:
    before = state_of(client)
    assert project.deploy() == []
    assert state_of(client) == before


def test_a_changed_cron_is_the_only_change_of_the_third(project: Project, client: SyncPrefectClient) -> None:
    before = state_of(client)
    project.edit(FILE, '"0 3 * * *"', '"30 3 * * *"')
    project.commit()
    assert project.deploy() == ["mirt-calibrate: schedules.nightly-0300.cron 0 3 * * * → 30 3 * * *"]
    after = state_of(client)
    touched = set(before.pop("deployments")) ^ set(after.pop("deployments"))
    assert {name for name, _ in touched} == {"mirt-calibrate"}
    assert after == before


def test_a_deployment_that_somebody_paused_stays_paused(project: Project, client: SyncPrefectClient) -> None:
    kpis = read_present("compute-daily-kpis", client)
    assert kpis is not None
    client.pause_deployment(kpis.id)
    registry = project.root / FILE
    committed = registry.read_text()
    registry.write_text(committed.replace("The six weekly KPIs", "All six weekly KPIs"))
    assert any(line.startswith("compute-daily-kpis: description ") for line in project.deploy())
    assert client.read_deployment(kpis.id).paused
    assert str(client.read_deployment(kpis.id).description).startswith("All six")
    registry.write_text(committed)
    project.deploy()
    client.resume_deployment(kpis.id)


def test_a_schedule_that_the_file_does_not_have_is_removed(
    project: Project, client: SyncPrefectClient
) -> None:
    present = read_present("nightly", client)
    assert present is not None
    schedule = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 5 * * *"), active=True)
    client.create_deployment_schedules(present.id, [schedule])
    (change,) = project.deploy()
    assert change.startswith("nightly: schedules.")
    after = read_present("nightly", client)
    assert after is not None
    assert after.schedules == []


def test_an_automation_that_the_code_does_not_have_is_removed(
    project: Project, client: SyncPrefectClient
) -> None:
    theirs = AutomationCore(name="theirs", trigger=EventTrigger(expect={"never"}), actions=[DoNothing()])
    client.create_automation(theirs)
    client.create_automation(theirs.model_copy(update={"name": f"{PREFIX}of old"}))
    assert project.deploy() == ["automation of old: deleted"]
    assert len(client.read_automations_by_name("theirs")) == 1


def test_a_paused_automation_is_resumed_once(project: Project, client: SyncPrefectClient) -> None:
    paused = next(iter(our_automations(client).values()))
    client.pause_automation(paused.id)
    (change,) = project.deploy()
    assert "enabled" in change
    assert all(one.enabled for one in our_automations(client).values())
    assert project.deploy() == []


def test_a_server_of_another_environment_is_refused(project: Project, client: SyncPrefectClient) -> None:
    before = state_of(client)
    with pytest.raises(ConfigurationError, match="is the one of staging, not of prod"):
        project.deploy("prod")
    assert state_of(client) == before


def test_deployments_of_others_in_our_pools_are_told_and_left(
    project: Project, client: SyncPrefectClient
) -> None:
    flow_id = client.create_flow_from_name("theirs")
    client.create_deployment(flow_id, "theirs", work_pool_name="seedtest-theta")
    assert strangers(project.release()) == ("theirs",)
    assert project.deploy() == []
    present = client.read_deployment_by_name("theirs/theirs")
    client.delete_deployment(present.id)


def test_undeploying_leaves_nothing_of_ours(project: Project, client: SyncPrefectClient) -> None:
    before = state_of(client)
    foreseen = project.undeploy(dry_run=True)
    assert "nightly: deleted" in foreseen
    assert state_of(client) == before
    assert project.undeploy() == foreseen
    assert client.read_deployments() == []
    assert [automation.name for automation in client.read_automations()] == ["theirs"]
    assert client.read_work_pools() == []
    assert [document.name for document in client.read_block_documents()] == ["seedtest-alerts"]
    assert client.read_variables() == []
