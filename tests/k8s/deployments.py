"""The contract's table of deployments, and the job variables each of them has."""

from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from tests.k8s.manifests import ROOT

DAY_DEADLINE_SECS = 7200
RESOURCES = ("cpu_request", "memory_request", "cpu_limit", "memory_limit")


@dataclass(frozen=True)
class Row:
    """One row of the table: requests → limits, and the deadline."""

    name: str
    requests: tuple[str, str]
    limits: tuple[str, str]
    deadline_secs: int = DAY_DEADLINE_SECS

    @property
    def variables(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "image": "registry.example/seedtest-flows:0123abc",
            **dict(zip(RESOURCES, (*self.requests, *self.limits), strict=True)),
            "active_deadline_seconds": self.deadline_secs,
        }


TABLE = (
    Row("compute-daily-kpis", ("100m", "256Mi"), ("500m", "512Mi")),
    Row("aggregate-features-daily", ("200m", "512Mi"), ("1", "1Gi")),
    Row("mirt-calibrate", ("500m", "1Gi"), ("2", "2Gi")),
    Row("generate-weekly-report", ("1", "2Gi"), ("2", "4Gi")),
    Row("update-theta", ("100m", "256Mi"), ("1", "1Gi")),
    Row("theta-sweep", ("100m", "256Mi"), ("1", "1Gi")),
    Row("nightly", ("1", "2Gi"), ("2", "4Gi"), deadline_secs=14_400),
    Row("backfill", ("500m", "1Gi"), ("2", "2Gi")),
    Row("housekeeping", ("100m", "256Mi"), ("500m", "512Mi")),
)


def job_variables(row: Row) -> dict[str, Any]:
    """What prefect.yaml gives the deployment, with an image; the table's where it gives no resources yet."""
    registry = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")
    for deployment in registry["deployments"]:
        given = deployment["work_pool"].get("job_variables", {})
        if deployment["name"] == row.name and "cpu_request" in given:
            return {**given, "image": row.variables["image"]}
    return row.variables
