"""The pool's template through the real worker's job configuration: what each deployment's pod gets."""

import json
import re
from pathlib import Path

import pytest
from prefect.utilities.templating import find_placeholders

from k8s.job_checks import diagnose_job
from k8s.job_template import job_template, patched
from seedtest.errors import ConfigurationError
from tests.k8s.deployments import TABLE, Row
from tests.k8s.jobs import job, pod, variables_of
from tests.k8s.manifests import K8S, OVERLAYS, PROXY_ARGS, VERSIONS, entries, one, overlay, validate

each = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
pools = pytest.mark.parametrize("pool_type", ["kubernetes", "process"])


@each
def test_nothing_is_wrong_with_the_job(row: Row) -> None:
    assert diagnose_job(job(row)) == ()


@each
@pytest.mark.parametrize("version", VERSIONS)
def test_the_job_is_valid_for_the_version(row: Row, version: str) -> None:
    manifest = job(row)
    # Prefect's worker insists on these two in the pod, where Kubernetes ignores them.
    del pod(manifest)["parallelism"], pod(manifest)["completions"]
    validate(manifest, version)


@each
def test_the_proxy_is_a_native_sidecar(row: Row) -> None:
    spec = pod(job(row))
    (proxy,) = spec["initContainers"]
    assert re.fullmatch(r"gcr\.io/cloud-sql-connectors/cloud-sql-proxy:2\.\d+\.\d+", proxy["image"])
    assert proxy["restartPolicy"] == "Always"
    assert proxy["args"] == PROXY_ARGS
    assert proxy["startupProbe"]["httpGet"] == {"path": "/startup", "port": 9801}
    assert proxy["securityContext"]["runAsNonRoot"] is True
    assert [container["name"] for container in spec["containers"]] == ["prefect-job"]


@each
def test_the_job_is_named_and_labelled_with_its_deployment(row: Row) -> None:
    manifest = job(row)
    assert manifest["metadata"]["generateName"] == f"{row.name}-"
    for metadata in (manifest["metadata"], manifest["spec"]["template"]["metadata"]):
        assert (metadata["labels"]["cronjob"], metadata["labels"]["app"]) == (row.name, row.name)
        assert metadata["labels"]["prefect.io/flow-run-name"] == "wise-fox"


@each
def test_resources_and_deadline_are_the_contracts(row: Row) -> None:
    manifest = job(row)
    assert pod(manifest)["containers"][0]["resources"] == {
        "requests": dict(zip(("cpu", "memory"), row.requests, strict=True)),
        "limits": dict(zip(("cpu", "memory"), row.limits, strict=True)),
    }
    assert manifest["spec"]["activeDeadlineSeconds"] == row.deadline_secs
    assert manifest["spec"]["backoffLimit"] == 0
    assert manifest["spec"]["ttlSecondsAfterFinished"] > 0


@each
def test_secrets_come_by_reference_only(row: Row) -> None:
    variables = variables_of(pod(job(row))["containers"][0])
    database = variables["DATABASE_URL"]["valueFrom"]["secretKeyRef"]
    assert database["key"] == "DATABASE_URL"
    assert "optional" not in database
    for name in ("DATABASE_URL", "R_IRT_INTERNAL_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert set(variables[name]) == {"name", "valueFrom"}


def test_every_secret_that_a_job_names_is_made_by_external_secrets() -> None:
    made = {
        r["metadata"]["name"]: entries(r["spec"]) for r in overlay("prod") if r["kind"] == "ExternalSecret"
    }
    calibration = {
        "database_secret": "calibrate-irt-credentials",
        "irt_token_secret": "calibrate-irt-credentials",
    }
    for more in ({}, {**calibration, "irt_token_key": "R_IRT_INTERNAL_TOKEN"}):
        for variable in pod(job(TABLE[0], **more))["containers"][0]["env"]:
            if wanted := variable.get("valueFrom", {}).get("secretKeyRef"):
                assert wanted["key"] in made[wanted["name"]]


def test_what_a_job_takes_from_the_cluster_is_in_the_overlays() -> None:
    for name in OVERLAYS:
        resources = overlay(name)
        spec = pod(job(TABLE[0], name))
        one(resources, "ServiceAccount", spec["serviceAccountName"])
        one(resources, "ConfigMap", spec["containers"][0]["envFrom"][0]["configMapRef"]["name"])
        if "priorityClassName" in spec:
            one(resources, "PriorityClass", spec["priorityClassName"])


def test_flow_pods_may_ask_prefect_and_the_irt_service() -> None:
    labels = job(TABLE[0])["spec"]["template"]["metadata"]["labels"]
    assert (labels["irt-client"], labels["prefect-client"]) == ("true", "true")


def test_a_deployments_settings_labels_and_annotations_arrive() -> None:
    manifest = job(TABLE[2], env={"IRT_ENGINE": "http"}, labels={"team": "irt"}, annotations={"note": "x"})
    assert variables_of(pod(manifest)["containers"][0])["IRT_ENGINE"]["value"] == "http"
    assert manifest["metadata"]["labels"]["team"] == "irt"
    assert manifest["metadata"]["annotations"]["note"] == "x"


def test_an_evicted_pods_run_is_scheduled_anew() -> None:
    variables = variables_of(pod(job(TABLE[0]))["containers"][0])
    assert variables["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"]["value"] == "reschedule"


@pools
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_variable_is_used_described_and_known(pool_type: str, name: str) -> None:
    template = job_template(pool_type, name)
    used = {placeholder.name for placeholder in find_placeholders(template["job_configuration"])}
    schema = template["variables"]
    # Prefect drops a variable that nothing refers to, without a word.
    assert used == set(schema["properties"])
    assert schema["additionalProperties"] is False
    for variable, properties in schema["properties"].items():
        assert {"title", "description", "type"} <= set(properties), variable


def test_a_cluster_without_native_sidecars_gets_jobs_without_a_proxy() -> None:
    manifest = job(TABLE[0], "bare")
    assert "initContainers" not in pod(manifest)
    assert [diagnosis.category for diagnosis in diagnose_job(manifest)] == ["NoProxy"]


def test_batch_runs_give_way_in_production() -> None:
    assert pod(job(TABLE[0], "prod"))["priorityClassName"] == "seedtest-batch"
    assert "priorityClassName" not in pod(job(TABLE[0], "staging"))


def test_an_unknown_overlay_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere does not exist; the others are .*prod"):
        job_template("kubernetes", "nowhere")


@pytest.mark.parametrize(
    "text",
    [
        '[{"op": "remove", "path": "/job_configuration/initContainers"}]',
        '[{"op": "add", "path": "/job_configuration/nowhere/priority", "value": 1}]',
        '[{"op": "add"}]',
        "[{]",
    ],
)
def test_a_patch_that_does_not_fit_is_refused_by_name(tmp_path: Path, text: str) -> None:
    patch = tmp_path / "job-template.patch.json"
    patch.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"job-template\.patch\.json does not fit"):
        patched(job_template("kubernetes", "staging"), patch)


def test_templates_are_json_that_people_can_read() -> None:
    for path in (K8S / "work-pool").glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))
        assert max(map(len, path.read_text(encoding="utf-8").splitlines())) < 140
