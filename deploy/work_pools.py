"""The environment's work pools, each with the job template that k8s/work-pool holds for it."""

from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkPool as ServerPool
from prefect.exceptions import ObjectNotFound

from deploy.differences import Change, changes
from deploy.environment import Cluster, Environment, WorkPool
from k8s.job_template import job_template
from seedtest.errors import ConfigurationError


def deploy_work_pools(
    environment: Environment, client: SyncPrefectClient, *, dry_run: bool
) -> tuple[Change, ...]:
    """Create the pools that are missing and bring the others to what the files say."""
    return tuple(
        change
        for pool in environment.work_pools
        for change in _deploy(pool, environment.cluster, client, dry_run=dry_run)
    )


def wanted_pool(pool: WorkPool, cluster: Cluster | None) -> dict[str, Any]:
    """Return what a pool is to be on the server; a template that is not ours is not mentioned."""
    wanted: dict[str, Any] = {"type": pool.type.value, "description": pool.description}
    if pool.own_template:
        wanted["base_job_template"] = _template(pool, cluster)
    return wanted


def _template(pool: WorkPool, cluster: Cluster | None) -> dict[str, Any]:
    if cluster is None:
        raise ConfigurationError(
            f"The work pool {pool.name} has a template of ours, which an overlay of k8s/overlays completes, "
            "but the environment has no cluster. Give it one, or set the pool's own_template to false."
        )
    return job_template(pool.type.value, cluster.overlay)


def _deploy(
    pool: WorkPool, cluster: Cluster | None, client: SyncPrefectClient, *, dry_run: bool
) -> tuple[Change, ...]:
    wanted = wanted_pool(pool, cluster)
    present = _present(pool.name, client)
    before = None if present is None else {name: _of(present, name) for name in wanted}
    found = changes(f"work pool {pool.name}", before, wanted)
    if present is not None and present.type != pool.type.value:
        raise ConfigurationError(
            f"The work pool {pool.name} exists with type {present.type} rather than {pool.type.value}, and a "
            f"pool's type cannot be changed. Delete it: prefect work-pool delete {pool.name}"
        )
    if found and not dry_run:
        _write(pool.name, wanted, client, is_new=present is None)
    return found


def _present(name: str, client: SyncPrefectClient) -> ServerPool | None:
    try:
        return client.read_work_pool(name)
    except ObjectNotFound:
        return None


def _of(present: ServerPool, field: str) -> Any:  # noqa: ANN401 (a template is any JSON)
    return getattr(present, field)


def _write(name: str, wanted: dict[str, Any], client: SyncPrefectClient, *, is_new: bool) -> None:
    if is_new:
        client.create_work_pool(WorkPoolCreate(name=name, **wanted))
    else:
        rest = {field: value for field, value in wanted.items() if field != "type"}
        client.update_work_pool(name, WorkPoolUpdate(**rest))


def remove_work_pools(
    environment: Environment, client: SyncPrefectClient, *, dry_run: bool
) -> tuple[Change, ...]:
    """Delete the pools whose template is ours; another one belongs to the stack that made it."""
    found = [
        pool.name
        for pool in environment.work_pools
        if pool.own_template and _present(pool.name, client) is not None
    ]
    if not dry_run:
        for name in found:
            client.delete_work_pool(name)
    return tuple(Change(f"work pool {name}", "deleted") for name in found)
