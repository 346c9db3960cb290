"""The steps of a deployment in their order, and those that take it away again."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient

from blocks.environment import BlockEnvironment
from blocks.registration import ChangeKind, register
from deploy.automations import deploy_automations, remove_automations
from deploy.deployments import deploy_deployments, left_over, remove_deployments
from deploy.differences import Change
from deploy.environment import Environment
from deploy.images import deploy_images
from deploy.manifests import deploy_manifests, remove_manifests
from deploy.registry import FILE, Registry, read_registry, registry_variables
from deploy.server import claim, connected
from deploy.server import release as release_mark
from deploy.work_pools import deploy_work_pools, remove_work_pools


class Step(StrEnum):
    """What a deployment consists of, in the order in which it is done."""

    IMAGES = "images"
    MANIFESTS = "manifests"
    WORK_POOLS = "work-pools"
    BLOCKS = "blocks"
    DEPLOYMENTS = "deployments"
    AUTOMATIONS = "automations"


@dataclass(frozen=True)
class Release:
    """What is deployed where: an environment, the project's files, the images' tag, the Prefect server."""

    environment: Environment
    root: Path
    version: str
    api_url: str
    dry_run: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """What the environment puts into prefect.yaml."""
        return registry_variables(self.environment, self.version, self.root)

    @property
    def registry(self) -> Registry:
        """The deployments of this environment."""
        return read_registry(self.root / FILE, self.variables)

    @property
    def pools(self) -> tuple[str, ...]:
        """The names of the environment's work pools."""
        return tuple(pool.name for pool in self.environment.work_pools)


_NO_BLOCKS = BlockEnvironment.model_validate({})

OnCluster = Callable[[Release], tuple[Change, ...]]
OnServer = Callable[[Release, SyncPrefectClient], tuple[Change, ...]]

CLUSTER_STEPS: dict[Step, OnCluster] = {
    Step.IMAGES: lambda r: deploy_images(r.environment, r.root, r.version, dry_run=r.dry_run),
    Step.MANIFESTS: lambda r: deploy_manifests(r.environment, r.root, r.version, dry_run=r.dry_run),
}
SERVER_STEPS: dict[Step, OnServer] = {
    Step.WORK_POOLS: lambda r, client: deploy_work_pools(r.environment, client, dry_run=r.dry_run),
    Step.BLOCKS: lambda r, client: _blocks(r.environment.blocks, client, dry_run=r.dry_run),
    Step.DEPLOYMENTS: lambda r, client: deploy_deployments(r.root, r.variables, client, dry_run=r.dry_run),
    Step.AUTOMATIONS: lambda r, client: deploy_automations(
        r.environment, r.registry, client, dry_run=r.dry_run
    ),
}
# The other way round: what depends on something goes before it.
UNDONE_ON_SERVER: dict[Step, OnServer] = {
    Step.AUTOMATIONS: lambda r, client: remove_automations(client, dry_run=r.dry_run),
    Step.DEPLOYMENTS: lambda r, client: remove_deployments(r.registry, client, dry_run=r.dry_run),
    Step.BLOCKS: lambda r, client: _blocks(_NO_BLOCKS, client, dry_run=r.dry_run),
    Step.WORK_POOLS: lambda r, client: remove_work_pools(r.environment, client, dry_run=r.dry_run),
}


def deploy(release: Release, chosen: Set[Step]) -> Iterator[tuple[str, tuple[Change, ...]]]:
    """Take the steps chosen, in their order, and give what each changed; the first failure ends it."""
    for step, on_cluster in CLUSTER_STEPS.items():
        if step in chosen:
            yield step, on_cluster(release)
    if not any(step in chosen for step in SERVER_STEPS):
        return
    with connected(release.api_url) as client:
        yield "server", claim(release.environment, client, dry_run=release.dry_run)
        for step, on_server in SERVER_STEPS.items():
            if step in chosen:
                yield step, on_server(release, client)


def strangers(release: Release) -> tuple[str, ...]:
    """Return deployments in our pools that the files do not name: nothing removes them but their owner."""
    with connected(release.api_url) as client:
        return left_over(release.registry, release.pools, client)


def undeploy(release: Release, chosen: Set[Step]) -> Iterator[tuple[str, tuple[Change, ...]]]:
    """Take everything chosen away but images, the namespace and the server's history of runs."""
    dry_run = release.dry_run
    if any(step in chosen for step in SERVER_STEPS):
        with connected(release.api_url) as client:
            claim(release.environment, client, dry_run=True)
            for step, on_server in UNDONE_ON_SERVER.items():
                if step in chosen:
                    yield step, on_server(release, client)
            if chosen >= set(SERVER_STEPS):
                yield "server", release_mark(client, dry_run=dry_run)
    if Step.MANIFESTS in chosen:
        found = remove_manifests(release.environment, release.root, release.version, dry_run=dry_run)
        yield Step.MANIFESTS, found


def _blocks(environment: BlockEnvironment, client: SyncPrefectClient, *, dry_run: bool) -> tuple[Change, ...]:
    found = register(environment, client, dry_run=dry_run)
    return tuple(
        Change(change.subject, f"{change.kind} {', '.join(change.fields)}".rstrip())
        for change in found
        if change.kind is not ChangeKind.UNCHANGED
    )
