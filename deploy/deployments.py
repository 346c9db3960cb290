"""The deployments of prefect.yaml, compared with the server's and registered where they differ."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from deploy.differences import Change, changes
from deploy.registry import FILE, Deployment, Registry, read_registry
from seedtest.errors import ConfigurationError

_PATIENCE_SECS = 300
_LAST_LINES = 15


def deploy_deployments(
    root: Path, variables: Mapping[str, str], client: SyncPrefectClient, *, dry_run: bool
) -> tuple[Change, ...]:
    """Register the deployments that differ from the file, and see that the server then has what it says."""
    registry = read_registry(root / FILE, variables)
    found = _differing(registry, root, client)
    if found and not dry_run:
        for deployment in registry.deployments:
            if deployment.name in found:
                _remove_schedules(deployment, client)
        with _pauses_kept(list(found), client):
            _prefect_deploy(root, variables, list(found), str(client.api_url))
        _require_equal(_differing(registry, root, client))
    return tuple(change for all_of_one in found.values() for change in all_of_one)


def left_over(registry: Registry, pools: Sequence[str], client: SyncPrefectClient) -> tuple[str, ...]:
    """Return what still runs in the environment's pools, although the file no longer names it."""
    declared = {deployment.name for deployment in registry.deployments}
    present = client.read_deployments(limit=200)
    return tuple(sorted(d.name for d in present if d.work_pool_name in pools and d.name not in declared))


def _differing(registry: Registry, root: Path, client: SyncPrefectClient) -> dict[str, tuple[Change, ...]]:
    found = {}
    for deployment in registry.deployments:
        present = read_present(deployment.name, client)
        before = None if present is None else described(present)
        differences = changes(deployment.name, before, wanted(deployment, registry, root))
        if differences:
            found[deployment.name] = differences
    return found


def wanted(deployment: Deployment, registry: Registry, root: Path) -> dict[str, Any]:
    """Return what a deployment is to be, in the words of `described`."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(str(root / deployment.entrypoint))
    return {
        "version": deployment.version,
        "entrypoint": deployment.entrypoint,
        "description": deployment.description,
        "tags": sorted(deployment.tags),
        "schedules": {s.slug: s.model_dump(exclude={"slug"}) for s in deployment.schedules},
        "concurrency_limit": deployment.concurrency_limit.model_dump(),
        "enforce_parameter_schema": deployment.enforce_parameter_schema,
        "parameters": deployment.parameters,
        "parameter_schema": parameter_schema(flow).model_dump(mode="json", exclude_unset=True),
        "pull_steps": list(registry.pull),
        "work_pool": deployment.work_pool.name,
        "job_variables": deployment.work_pool.job_variables,
    }


def described(present: DeploymentResponse) -> dict[str, Any]:
    """Return what the server says of a deployment, as far as prefect.yaml decides it."""
    limit, options = present.global_concurrency_limit, present.concurrency_options
    return {
        "version": present.version,
        "entrypoint": present.entrypoint,
        "description": present.description,
        "tags": sorted(present.tags),
        "schedules": {
            schedule.slug or str(schedule.id): {
                "cron": getattr(schedule.schedule, "cron", str(schedule.schedule)),
                "timezone": getattr(schedule.schedule, "timezone", None),
                "active": schedule.active,
            }
            for schedule in present.schedules
        },
        "concurrency_limit": {
            "limit": limit.limit if limit else None,
            "collision_strategy": options.collision_strategy.value if options else None,
            "grace_period_seconds": options.grace_period_seconds if options else None,
        },
        "enforce_parameter_schema": present.enforce_parameter_schema,
        "parameters": present.parameters,
        "parameter_schema": present.parameter_openapi_schema,
        "pull_steps": present.pull_steps,
        "work_pool": present.work_pool_name,
        "job_variables": present.job_variables,
    }


def read_present(name: str, client: SyncPrefectClient) -> DeploymentResponse | None:
    """Return a deployment of the server, whose flow bears its name, or None where there is none."""
    try:
        return client.read_deployment_by_name(f"{name}/{name}")
    except ObjectNotFound:
        return None


@contextmanager
def _pauses_kept(names: Sequence[str], client: SyncPrefectClient) -> Iterator[None]:
    """Leave deployments paused that somebody has paused: registering one resumes it."""
    present = [read_present(name, client) for name in names]
    paused = [deployment for deployment in present if deployment is not None and deployment.paused]
    try:
        yield
    finally:
        for deployment in paused:
            client.pause_deployment(deployment.id)


def _remove_schedules(deployment: Deployment, client: SyncPrefectClient) -> None:
    """Delete schedules that the file does not have; Prefect keeps them all where the file has none."""
    present = read_present(deployment.name, client)
    if present is None:
        return
    kept = {schedule.slug for schedule in deployment.schedules}
    for schedule in present.schedules:
        if schedule.slug not in kept:
            client.delete_deployment_schedule(present.id, schedule.id)


def _prefect_deploy(root: Path, variables: Mapping[str, str], names: Sequence[str], api_url: str) -> None:
    chosen = [part for name in names for part in ("--name", name)]
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", FILE, *chosen]
    surroundings = {**os.environ, **variables, "PREFECT_API_URL": api_url, "PREFECT_LOGGING_COLORS": "false"}
    done = subprocess.run(
        command,
        cwd=root,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_PATIENCE_SECS,
    )
    if done.returncode != 0:
        told = "\n".join(done.stdout.splitlines()[-_LAST_LINES:])
        raise ConfigurationError(f"`prefect deploy` failed; correct what it says and deploy again:\n{told}")


def _require_equal(remaining: Mapping[str, tuple[Change, ...]]) -> None:
    if remaining:
        left = "; ".join(str(change) for all_of_one in remaining.values() for change in all_of_one)
        raise ConfigurationError(
            f"`prefect deploy` ran, but the server still differs from {FILE}: {left}. Compare the versions "
            "of Prefect here and on the server, and look whether somebody else is deploying."
        )


def remove_deployments(registry: Registry, client: SyncPrefectClient, *, dry_run: bool) -> tuple[Change, ...]:
    """Delete the registry's deployments; their past runs stay in the server's history."""
    present = [read_present(deployment.name, client) for deployment in registry.deployments]
    found = [deployment for deployment in present if deployment is not None]
    if not dry_run:
        for deployment in found:
            client.delete_deployment(deployment.id)
    return tuple(Change(deployment.name, "deleted") for deployment in found)
