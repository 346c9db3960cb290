"""prefect.yaml against the contract: names, crons, forms."""

from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from ruamel.yaml import YAML

from deploy.environment import load_environment
from deploy.registry import FILE, read_registry, registry_variables
from k8s.job_template import job_template

ROOT = Path(__file__).resolve().parents[2]
REGISTRY: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")
DEPLOYMENTS: dict[str, dict[str, Any]] = {d["name"]: d for d in REGISTRY["deployments"]}
CRONS = {
    "compute-daily-kpis": "10 2 * * *",
    "aggregate-features-daily": "25 2 * * *",
    "compute-daily-kpis-shard": None,
    "aggregate-features-daily-shard": None,
    "mirt-calibrate": "0 3 * * *",
    "generate-weekly-report": "0 4 * * 1",
    "generate-weekly-report-shard": None,
    "update-theta": None,
    "theta-sweep": "*/5 * * * *",
    "nightly": None,
    "backfill": None,
    "housekeeping": "0 1 * * *",
}
# A triggered run is a process beside its worker, whose pod has the resources (k8s/base/theta-worker.yaml).
POOL_TYPES = {"update-theta": "process"}
# Requests and limits of CPU and memory, and the deadline.
RESOURCES = {
    "compute-daily-kpis": ("100m", "256Mi", "500m", "512Mi", 7200),
    "aggregate-features-daily": ("200m", "512Mi", "1", "1Gi", 7200),
    "compute-daily-kpis-shard": ("100m", "256Mi", "500m", "512Mi", 7200),
    "aggregate-features-daily-shard": ("200m", "512Mi", "1", "1Gi", 7200),
    "mirt-calibrate": ("500m", "1Gi", "2", "2Gi", 7200),
    "generate-weekly-report": ("1", "2Gi", "2", "4Gi", 7200),
    "generate-weekly-report-shard": ("1", "2Gi", "2", "4Gi", 7200),
    "theta-sweep": ("100m", "256Mi", "1", "1Gi", 7200),
    "nightly": ("1", "2Gi", "2", "4Gi", 14_400),
    "backfill": ("500m", "1Gi", "2", "2Gi", 7200),
    "housekeeping": ("100m", "256Mi", "500m", "512Mi", 7200),
}
VARIABLES = ("cpu_request", "memory_request", "cpu_limit", "memory_limit", "active_deadline_seconds")
RETRIES = {
    "compute-daily-kpis": 1,
    "aggregate-features-daily": 1,
    "compute-daily-kpis-shard": 1,
    "aggregate-features-daily-shard": 1,
    "mirt-calibrate": 1,
    "generate-weekly-report": 1,
    "generate-weekly-report-shard": 1,
    "update-theta": 2,
    "theta-sweep": 2,
    "nightly": 0,
    "backfill": 0,
    "housekeeping": 1,
}
# They do what waits, whatever the day.
WITHOUT_PARAMETERS = {"update-theta", "theta-sweep"}
# Runs of shards are meant to overlap, each on learners of its own.
AT_A_TIME = dict.fromkeys(
    ("compute-daily-kpis-shard", "aggregate-features-daily-shard", "generate-weekly-report-shard"), 4
)
DAY_OF = {
    "generate-weekly-report": "week",
    "generate-weekly-report-shard": "week",
    "backfill": "to_date",
    # It deletes by age.
    "housekeeping": "dry_run",
}

each = pytest.mark.parametrize("name", sorted(CRONS))


def flow_of(name: str) -> Flow[..., Any]:
    path, function = DEPLOYMENTS[name]["entrypoint"].split(":")
    return load_flow_from_entrypoint(f"{ROOT / path}:{function}")


def test_every_deployment_of_the_contract_is_registered() -> None:
    assert set(DEPLOYMENTS) == set(CRONS)


@each
def test_the_schedule_is_the_contracts(name: str) -> None:
    schedules = DEPLOYMENTS[name]["schedules"]
    assert [schedule["cron"] for schedule in schedules] == ([CRONS[name]] if CRONS[name] else [])
    for schedule in schedules:
        assert schedule["timezone"] == "UTC"
        assert schedule["active"] is True
        assert schedule["slug"]


@each
def test_the_flow_has_its_deployments_name_and_retries(name: str) -> None:
    flow = flow_of(name)
    assert flow.name == name
    assert flow.retries == RETRIES[name]
    assert flow.persist_result is True


@each
def test_no_two_runs_of_a_deployment_overlap(name: str) -> None:
    # A killed run's turn ends after a minute where the next one must not wait long.
    grace = {"grace_period_seconds": 60} if name in WITHOUT_PARAMETERS else {}
    limit = {"limit": AT_A_TIME.get(name, 1), "collision_strategy": "ENQUEUE"}
    assert DEPLOYMENTS[name]["concurrency_limit"] == limit | grace


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_each_run_has_the_contracts_resources_and_deadline(name: str) -> None:
    variables = DEPLOYMENTS[name]["work_pool"]["job_variables"]
    assert tuple(variables[variable] for variable in VARIABLES) == RESOURCES[name]
    assert variables["name"] == name


@each
def test_a_job_gets_only_variables_that_its_template_knows(name: str) -> None:
    known = job_template(POOL_TYPES.get(name, "kubernetes"), "prod")["variables"]["properties"]
    assert set(DEPLOYMENTS[name]["work_pool"]["job_variables"]) <= set(known)


@pytest.mark.parametrize("environment", ["local", "staging", "prod"])
def test_every_environment_fills_in_the_whole_registry(environment: str) -> None:
    variables = registry_variables(load_environment(environment), "0123abc", ROOT)
    registry = read_registry(ROOT / FILE, variables)
    assert {deployment.name for deployment in registry.deployments} == set(CRONS)
    assert "{{" not in registry.model_dump_json(include={"deployments", "pull"})
    for deployment in registry.deployments:
        assert deployment.version == "0123abc"
        pools = load_environment(environment)
        expected = pools.theta_pool if deployment.name == "update-theta" else pools.batch_pool
        assert deployment.work_pool.name == expected


@each
def test_every_deployment_says_what_it_is_for(name: str) -> None:
    assert DEPLOYMENTS[name]["description"].endswith(".")
    assert DEPLOYMENTS[name]["tags"]


@each
def test_every_parameter_is_described_and_checked(name: str) -> None:
    schema = parameter_schema(flow_of(name).fn)
    if name in WITHOUT_PARAMETERS:
        assert schema.properties == {}
    else:
        assert {DAY_OF.get(name, "date"), "dry_run"} <= set(schema.properties)
    for parameter, properties in schema.properties.items():
        assert properties.get("description"), f"{name}: {parameter} has no description"
    assert DEPLOYMENTS[name]["enforce_parameter_schema"] is True
