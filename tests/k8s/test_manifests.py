"""What kustomize makes of the overlays: valid for each Kubernetes, confined, no mightier than needed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedtest.settings import Settings
from tests.k8s.custom_resources import faults
from tests.k8s.deployments import TABLE, job_variables
from tests.k8s.manifests import (
    K8S,
    OVERLAYS,
    PROXY_ARGS,
    VERSIONS,
    Resource,
    entries,
    load_all,
    one,
    overlay,
    pod_specs,
    rendered,
    validate,
)

CUSTOM_GROUPS = ("external-secrets.io/", "monitoring.coreos.com/")

each_overlay = pytest.mark.parametrize("name", OVERLAYS)
with_everything = pytest.mark.parametrize("name", ["staging", "prod"])


def is_custom(resource: Resource) -> bool:
    return bool(resource["apiVersion"].startswith(CUSTOM_GROUPS))


def containers(resources: list[Resource]) -> Iterator[tuple[str, Resource, Resource]]:
    for deployment, pod in pod_specs(resources).items():
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            yield f"{deployment}/{container['name']}", container, pod


@each_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_every_built_in_resource_is_valid_for_the_version(name: str, version: str) -> None:
    for resource in overlay(name):
        if not is_custom(resource):
            validate(resource, version)


@with_everything
def test_every_custom_resource_has_only_fields_of_its_published_definition(name: str) -> None:
    custom = [resource for resource in overlay(name) if is_custom(resource)]
    assert {r["kind"] for r in custom} == {
        "ClusterSecretStore",
        "ExternalSecret",
        "PrometheusRule",
        "ServiceMonitor",
    }
    assert [fault for resource in custom for fault in faults(resource)] == []


def test_a_misspelt_or_missing_field_of_a_custom_resource_is_found() -> None:
    secret = one(overlay("prod"), "ExternalSecret", "r-irt-credentials")
    del secret["spec"]["data"][0]["remoteRef"]
    secret["spec"]["refreshIntervall"] = "1h"
    assert sorted(faults(secret)) == [
        "spec.data[0].remoteRef is missing",
        "spec.refreshIntervall does not exist",
    ]


def test_the_bare_overlay_needs_no_custom_resource_and_no_native_sidecar() -> None:
    resources = overlay("bare")
    assert not any(is_custom(resource) for resource in resources)
    for _, container, _ in containers(resources):
        assert "restartPolicy" not in container
    assert {"HorizontalPodAutoscaler", "PodDisruptionBudget"}.isdisjoint(r["kind"] for r in resources)


@each_overlay
def test_what_belongs_to_the_namespace_is_in_it_and_the_rest_in_none(name: str) -> None:
    cluster_wide = {"Namespace", "PriorityClass", "ClusterSecretStore"}
    for resource in overlay(name):
        wanted = None if resource["kind"] in cluster_wide else "seedtest"
        assert resource["metadata"].get("namespace") == wanted, resource["kind"]
        assert resource["metadata"]["labels"]["app.kubernetes.io/part-of"] == "seedtest"


@each_overlay
def test_every_container_is_confined_and_bounded(name: str) -> None:
    for where, container, pod in containers(overlay(name)):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True, where
        assert context["allowPrivilegeEscalation"] is False, where
        assert context["capabilities"] == {"drop": ["ALL"]}, where
        assert pod["securityContext"]["runAsNonRoot"] is True, where
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory"}, where


@each_overlay
def test_images_have_fixed_tags(name: str) -> None:
    for where, container, _ in containers(overlay(name)):
        tag = container["image"].rpartition(":")[2]
        assert tag == "not-deployed" or tag[0].isdigit(), f"{where}: {container['image']}"


@each_overlay
def test_no_secret_stands_in_a_manifest(name: str) -> None:
    resources = overlay(name)
    assert "Secret" not in {resource["kind"] for resource in resources}
    secrets = {"DATABASE_URL", "R_IRT_INTERNAL_TOKEN", "WEBHOOK_SECRET", "PREFECT_API_AUTH_STRING"}
    for where, container, _ in containers(resources):
        for variable in container.get("env", []):
            if variable["name"] in secrets or variable["name"].startswith("AWS_"):
                assert set(variable) == {"name", "valueFrom"}, f"{where}: {variable['name']}"
    settings = one(resources, "ConfigMap", "seedtest-settings")["data"]
    assert secrets.isdisjoint(settings)


@each_overlay
def test_the_worker_may_run_jobs_and_read_their_pods_and_nothing_else(name: str) -> None:
    resources = overlay(name)
    assert one(resources, "Role", "prefect-worker")["rules"] == [
        {
            "apiGroups": ["batch"],
            "resources": ["jobs"],
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
        },
        {"apiGroups": [""], "resources": ["pods", "pods/log", "events"], "verbs": ["get", "list", "watch"]},
    ]
    assert {r["kind"] for r in resources}.isdisjoint({"ClusterRole", "ClusterRoleBinding"})
    pod = pod_specs(resources)["prefect-worker"]
    variables = {v["name"]: v for v in pod["containers"][0]["env"]}
    # Watching the whole cluster would need a ClusterRole.
    observed = variables["PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES"]
    assert observed["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


@each_overlay
def test_only_the_batch_worker_holds_a_token_of_the_cluster(name: str) -> None:
    holders = {
        where for where, pod in pod_specs(overlay(name)).items() if pod["automountServiceAccountToken"]
    }
    assert holders == {"prefect-worker"}


@with_everything
def test_the_proxy_starts_before_all_else_in_each_long_lived_pod_that_uses_the_database(name: str) -> None:
    pods = pod_specs(overlay(name))
    uses_database = {
        where
        for where, pod in pods.items()
        if any(v["name"] == "DATABASE_URL" for v in pod["containers"][0].get("env", []))
    }
    assert uses_database == {"seedtest-api", "theta-worker"}
    for where in uses_database:
        proxy = pods[where]["initContainers"][0]
        assert (proxy["name"], proxy["restartPolicy"], proxy["args"]) == (
            "cloud-sql-proxy",
            "Always",
            PROXY_ARGS,
        )
        assert "startupProbe" in proxy
        assert pods[where]["serviceAccountName"] == "seedtest-api"


def test_the_accounts_are_bound_to_googles() -> None:
    resources = overlay("prod")
    for account in ("seedtest-api", "eso-secret-accessor"):
        annotations = one(resources, "ServiceAccount", account)["metadata"]["annotations"]
        assert annotations == {
            "iam.gke.io/gcp-service-account": f"{account}@univprepai.iam.gserviceaccount.com"
        }


def test_external_secrets_make_the_secrets_of_the_contract() -> None:
    made = {r["metadata"]["name"]: r["spec"] for r in overlay("prod") if r["kind"] == "ExternalSecret"}
    assert entries(made["calibrate-irt-credentials"]) == {
        "DATABASE_URL": "seedtest-database-url",
        "R_IRT_INTERNAL_TOKEN": "r-irt-plumber-token",
    }
    assert entries(made["seedtest-db-credentials"]) == {"DATABASE_URL": "seedtest-database-url"}
    assert entries(made["r-irt-credentials"]) == {"token": "r-irt-plumber-token"}
    assert set(entries(made["aws-s3-credentials"])) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    for name, spec in made.items():
        assert spec["refreshInterval"] == "1h"
        assert spec["target"] == {"name": name, "creationPolicy": "Owner"}
        assert spec["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "gcp-secret-store"}


def test_every_secret_that_a_pod_must_have_is_made() -> None:
    resources = overlay("prod")
    made = {r["metadata"]["name"]: entries(r["spec"]) for r in resources if r["kind"] == "ExternalSecret"}
    for where, container, _ in containers(resources):
        for variable in container.get("env", []):
            wanted = variable.get("valueFrom", {}).get("secretKeyRef")
            if wanted and not wanted.get("optional"):
                assert wanted["key"] in made.get(wanted["name"], {}), f"{where}: {wanted}"


@each_overlay
def test_flow_pods_the_theta_worker_and_the_api_reach_the_irt_service_and_nobody_else(name: str) -> None:
    resources = overlay(name)
    deny = one(resources, "NetworkPolicy", "default-deny-ingress")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress"]}
    allow = one(resources, "NetworkPolicy", "irt-service")["spec"]
    assert allow["podSelector"] == {"matchLabels": {"app": "r-irt-plumber"}}
    assert allow["ingress"] == [
        {
            "from": [{"podSelector": {"matchLabels": {"irt-client": "true"}}}],
            "ports": [{"protocol": "TCP", "port": 8000}],
        }
    ]
    clients = {
        r["metadata"]["name"]
        for r in resources
        if r["kind"] == "Deployment" and r["spec"]["template"]["metadata"]["labels"].get("irt-client")
    }
    assert clients == {"seedtest-api", "theta-worker"}


@each_overlay
def test_the_irt_service_is_where_the_contract_says(name: str) -> None:
    resources = overlay(name)
    service = one(resources, "Service", "r-irt-plumber")["spec"]
    assert service["selector"] == {"app": "r-irt-plumber"}
    assert [(port["port"], port["targetPort"]) for port in service["ports"]] == [(80, 8000)]
    container = pod_specs(resources)["r-irt-plumber"]["containers"][0]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def prod_with(component: str, folder: Path) -> list[Resource]:
    """A cluster's own overlay: production's with one more component."""
    prod, extra = (
        os.path.relpath(K8S / part, folder) for part in ("overlays/prod", f"components/{component}")
    )
    text = f"resources: [{prod}]\ncomponents: [{extra}]\n"
    (folder / "kustomization.yaml").write_text(text, encoding="utf-8")
    return load_all(rendered(folder))


def test_the_key_secret_replaces_workload_identity_where_the_component_is_used(tmp_path: Path) -> None:
    store = one(prod_with("external-secrets-key", tmp_path), "ClusterSecretStore", "gcp-secret-store")
    assert faults(store) == []
    assert store["spec"]["provider"]["gcpsm"]["auth"] == {
        "secretRef": {
            "secretAccessKeySecretRef": {
                "name": "eso-gcp-credentials",
                "key": "key.json",
                "namespace": "seedtest",
            }
        }
    }


def test_rs_engine_takes_the_irt_services_place_where_the_component_is_used(tmp_path: Path) -> None:
    container = pod_specs(prod_with("r-engine", tmp_path))["r-irt-plumber"]["containers"][0]
    assert container["image"].rpartition("/")[2].startswith("r-irt-plumber:")
    assert "args" not in container


@each_overlay
def test_a_report_pod_starts_as_many_processes_as_it_has_processors(name: str) -> None:
    (row,) = (row for row in TABLE if row.name == "generate-weekly-report")
    settings = one(overlay(name), "ConfigMap", "seedtest-settings")["data"]
    assert settings["REPORT_PROCESSES"] == job_variables(row)["cpu_limit"]


@each_overlay
def test_an_api_pod_that_leaves_has_time_for_the_requests_that_still_come(name: str) -> None:
    pod = pod_specs(overlay(name))["seedtest-api"]
    (command,) = (c["lifecycle"]["preStop"]["exec"]["command"] for c in pod["containers"])
    assert command[0] == "sleep"
    timeout_secs = Settings.model_fields["api_timeout_secs"].default
    assert pod["terminationGracePeriodSeconds"] > int(command[1]) + timeout_secs + 5
