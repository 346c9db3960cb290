"""prefect.yaml against the contract: names, crons, forms."""

from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
REGISTRY: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")
DEPLOYMENTS: dict[str, dict[str, Any]] = {d["name"]: d for d in REGISTRY["deployments"]}
CRONS = {
    "compute-daily-kpis": "10 2 * * *",
    "aggregate-features-daily": "25 2 * * *",
    "mirt-calibrate": "0 3 * * *",
    "nightly": None,
}
RETRIES = {"compute-daily-kpis": 1, "aggregate-features-daily": 1, "mirt-calibrate": 1, "nightly": 0}

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
    assert DEPLOYMENTS[name]["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


@each
def test_every_parameter_is_described_and_checked(name: str) -> None:
    schema = parameter_schema(flow_of(name).fn)
    assert {"date", "dry_run"} <= set(schema.properties)
    for parameter, properties in schema.properties.items():
        assert properties.get("description"), f"{name}: {parameter} has no description"
    assert DEPLOYMENTS[name]["enforce_parameter_schema"] is True
