"""The whole system on the cluster, by the parts of `make deploy`."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from ruamel.yaml import YAML

from deploy.environment import Cluster as ClusterSection
from deploy.environment import Environment, Images, PoolType, WorkPool
from deploy.manifests import rendered
from deploy.steps import Release, Step, deploy
from tests.conftest import ROOT
from tests.k8s_cluster.cluster import Cluster
from tests.k8s_cluster.options import Options

BATCH, THETA = "seedtest-kubernetes", "seedtest-theta"
BLOCK = "on-call"
# What any cluster takes; k8s/overlays/bare says what it leaves unproven.
OVERLAY = "bare"


def sections(cluster: Cluster, options: Options) -> tuple[ClusterSection, Images]:
    """What an environment says of its cluster and its images."""
    section = ClusterSection(context=cluster.context, overlay=OVERLAY)
    return section, Images(repository=options.repository, base_image=None)


def environment(cluster: Cluster, options: Options) -> Environment:
    """The environment of the tests, whose alerts go to a webhook."""
    section, images = sections(cluster, options)
    return Environment(
        name="k8s-test",
        cluster=section,
        images=images,
        flows_folder="/opt/seedtest",
        work_pools=(
            WorkPool(name=BATCH, type=PoolType.KUBERNETES, description="Jobs", own_template=True),
            WorkPool(name=THETA, type=PoolType.PROCESS, description="Processes", own_template=True),
        ),
        batch_pool=BATCH,
        theta_pool=THETA,
        notification_block=f"{CustomWebhookNotificationBlock.get_block_type_slug()}/{BLOCK}",
        prefect_api_url=None,
        log_level="INFO",
    )


def manifests(cluster: Cluster, options: Options, settings: Mapping[str, str]) -> str:
    """Return the overlay as `make deploy` renders it, with these settings, in the tests' namespace."""
    # Looks for work every second instead of every fifteen.
    query = {"name": "worker", "env": [{"name": "PREFECT_WORKER_QUERY_SECONDS", "value": "1"}]}
    worker = {"spec": {"template": {"spec": {"containers": [query]}}}}
    kustomization = {
        "resources": ["rendered.yaml"],
        "namespace": cluster.namespace,
        "patches": [
            _patch("v1", "ConfigMap", "seedtest-settings", {"data": dict(settings)}),
            _patch("apps/v1", "Deployment", "prefect-worker", worker),
        ],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = rendered(*sections(cluster, options), ROOT, options.version)
        (folder / "rendered.yaml").write_text(text, encoding="utf-8")
        YAML(typ="safe", pure=True).dump(kustomization, folder / "kustomization.yaml")
        return cluster.kubectl("kustomize", name)


def _patch(version: str, kind: str, name: str, change: dict[str, Any]) -> dict[str, Any]:
    patch = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **change}
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(patch)}


def register(release: Release, client: SyncPrefectClient, alerts_url: str, namespace: str) -> None:
    """Register everything that a Prefect server has to know."""
    CustomWebhookNotificationBlock(
        name=BLOCK,
        url=alerts_url,
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
        allow_private_urls=True,
    ).save(BLOCK)
    for _ in deploy(release, {Step.WORK_POOLS, Step.DEPLOYMENTS, Step.AUTOMATIONS}):
        pass
    _move_jobs(client, namespace)


def _move_jobs(client: SyncPrefectClient, namespace: str) -> None:
    """Put the Jobs into the tests' namespace; an environment of its own has the usual one."""
    template = client.read_work_pool(BATCH).base_job_template
    template["variables"]["properties"]["namespace"]["default"] = namespace
    client.update_work_pool(BATCH, WorkPoolUpdate(base_job_template=template))
