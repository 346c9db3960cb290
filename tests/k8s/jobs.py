"""The Job that the real worker would create for a run of a deployment."""

import asyncio
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Flow, FlowRun
from prefect_kubernetes.worker import (  # type: ignore[import-untyped]  # it says nothing of its types
    KubernetesWorkerJobConfiguration,
)

from k8s.job_template import job_template
from tests.k8s.deployments import Row, job_variables

# A client wants an address; building a configuration without blocks asks nobody.
NOBODY = "http://127.0.0.1:9/api"


def job(row: Row, overlay: str = "prod", **more: Any) -> dict[str, Any]:
    template = job_template("kubernetes", overlay)

    async def configure() -> KubernetesWorkerJobConfiguration:
        async with PrefectClient(NOBODY) as client:
            return await KubernetesWorkerJobConfiguration.from_template_and_values(
                template, {**job_variables(row), **more}, client=client
            )

    configuration = asyncio.run(configure())
    flow = Flow(name=row.name, labels={})
    configuration.prepare_for_flow_run(FlowRun(flow_id=flow.id, name="wise-fox"), flow=flow)
    assert configuration.namespace == "seedtest"
    manifest: dict[str, Any] = configuration.job_manifest
    return manifest


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return spec


def variables_of(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in container["env"]}
