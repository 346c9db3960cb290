"""The alerts by promtool, Prometheus' own checker: they parse, and fire when and only when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import Metric

from seedtest.api.auth.metrics import AuthMetrics
from seedtest.api.theta_metrics import ThetaMetrics
from tests.k8s.manifests import K8S, ROOT, load_all, one

SOURCE = K8S / "components" / "monitoring" / "alerts.yaml"
METRIC = re.compile(r"\b(?:seedtest_flow|theta)_[a-z_]+\b")


def groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = one(
        load_all(SOURCE.read_text(encoding="utf-8")), "PrometheusRule", "seedtest"
    )["spec"]["groups"]
    return found


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups() for rule in group["rules"]}


def test_the_contracts_alerts_are_there() -> None:
    failed = alerts()["IRTCalibrationFailed"]
    assert (failed["for"], failed["labels"]["severity"]) == ("5m", "critical")
    slow = alerts()["IRTCalibrationSlow"]
    assert slow["labels"]["severity"] == "warning"
    assert slow["expr"].count("> 1800") == 2
    assert {"WeeklyReportFailed", "ThetaUpdateErrors", "FlowRunLate", "FlowRunStuck"} <= set(alerts())


def test_the_theta_queue_the_trigger_the_keys_and_the_engine_are_watched() -> None:
    late = alerts()["ThetaQueueLate"]
    assert (late["expr"], late["for"]) == ("max(theta_queue_oldest_pending_seconds) > 600", "5m")
    parked = alerts()["ThetaSessionsParked"]
    assert (parked["expr"], parked["labels"]["severity"]) == ("max(theta_queue_parked) > 0", "warning")
    watched = {metric for rule in alerts().values() for metric in METRIC.findall(rule["expr"])}
    assert {"theta_trigger_total", "theta_jwks_refreshes_total", "theta_engine_errors_total"} <= watched


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_says_what_happened_what_it_means_and_where_to_look(name: str) -> None:
    annotations = alerts()[name]["annotations"]
    assert annotations["summary"].endswith(".")
    assert annotations["description"].endswith(".")
    assert annotations["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_every_metric_that_an_alert_uses_is_documented() -> None:
    documented = set(METRIC.findall((ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")))
    used = {metric for rule in alerts().values() for metric in METRIC.findall(rule["expr"])}
    assert {metric.removesuffix("_bucket") for metric in used} <= documented


def test_every_metric_of_theta_that_is_watched_or_documented_is_exported_by_the_api() -> None:
    metrics = ThetaMetrics()
    AuthMetrics(metrics.registry)
    exported = {name for family in metrics.registry.collect() for name in _names(family)}
    pages = ("kubernetes.md", "runbook.md", "theta-api.md")
    texts = [
        SOURCE.read_text(encoding="utf-8"),
        *((ROOT / "docs" / page).read_text("utf-8") for page in pages),
    ]
    named = {
        name
        for text in texts
        for name in re.findall(r"\btheta_(?:update_(?!failed)|queue_|trigger_|jwks_|engine_)\w+", text)
    }
    assert len(named) > 7
    assert named <= exported


def _names(family: Metric) -> set[str]:
    return {family.name, *(sample.name for sample in family.samples)}


def test_alerts_fire_when_and_only_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian's package prometheus) is not installed: alerts are not tried out")
    # JSON is YAML, and what the custom resource wraps is a plain rule file.
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": groups()}), encoding="utf-8")
    shutil.copy(Path(__file__).with_name("alerts_test.yaml"), tmp_path)
    done = subprocess.run(
        [promtool, "test", "rules", "alerts_test.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
