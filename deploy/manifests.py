"""The cluster's objects: the environment's overlay with its images' tags, compared and applied by kubectl."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deploy.differences import Change
from deploy.environment import Cluster, Environment, Images
from deploy.images import IMAGES
from deploy.programs import find_program, run

STEP = "manifests"
_SAME, _DIFFERENT = 0, 1
# Of a difference: the names of the files compared, and the count of changes that the cluster keeps itself.
_NO_CHANGE = ("+++", "---", "+  generation: ", "-  generation: ")
# One that is not there is nothing to fail of; a cluster that does not answer is.
_SILENT = ("--ignore-not-found", "--output", "name")


def deploy_manifests(environment: Environment, root: Path, sha: str, *, dry_run: bool) -> tuple[Change, ...]:
    """Apply what differs; kubectl compares by asking the cluster what applying would change."""
    if environment.cluster is None or environment.images is None:
        return ()
    kubectl = [find_program(STEP, "kubectl"), "--context", environment.cluster.context]
    manifests = rendered(environment.cluster, environment.images, root, sha)
    found = _changes(kubectl, manifests, root)
    if found and not dry_run:
        run([*kubectl, "apply", "--filename", "-"], root, text=manifests)
    return found


def remove_manifests(environment: Environment, root: Path, sha: str, *, dry_run: bool) -> tuple[Change, ...]:
    """Delete everything of the overlay but the namespace, which holds the Prefect server and Secrets too."""
    if environment.cluster is None or environment.images is None:
        return ()
    kubectl = [find_program(STEP, "kubectl"), "--context", environment.cluster.context]
    manifests = rendered(environment.cluster, environment.images, root, sha)
    documents = YAML(typ="safe", pure=True).load_all(manifests)
    kept = _dumped([document for document in documents if document["kind"] != "Namespace"])
    rehearsal = ["--dry-run=server"] if dry_run else []
    done = run([*kubectl, "delete", "--ignore-not-found", *rehearsal, "--filename", "-"], root, text=kept)
    return tuple(Change("cluster", line) for line in done.stdout.splitlines())


def rendered(cluster: Cluster, images: Images, root: Path, sha: str) -> str:
    """Return the manifests of a cluster's overlay, its images tagged by the SHA."""
    kubectl = find_program(STEP, "kubectl")
    with _kustomization(cluster, images, root, sha) as folder:
        return run([kubectl, "kustomize", str(folder)], root).stdout


@contextmanager
def _kustomization(cluster: Cluster, images: Images, root: Path, sha: str) -> Iterator[Path]:
    """Give a folder with the overlay and the tags on top: the overlay itself stays as it is committed."""
    base = YAML(typ="safe", pure=True).load(root / "k8s/base/kustomization.yaml")
    pinned = {image["name"]: image["newName"] for image in base["images"]}
    with tempfile.TemporaryDirectory(prefix=".deploy-", dir=root) as name:
        folder = Path(name)
        contents = {
            "resources": [f"../k8s/overlays/{cluster.overlay}"],
            "images": [
                {"name": pinned[image.name], "newName": f"{images.repository}/{image.name}", "newTag": sha}
                for image in IMAGES
                if image.name in pinned
            ],
        }
        YAML(typ="safe", pure=True).dump(contents, folder / "kustomization.yaml")
        yield folder


def _changes(kubectl: list[str], manifests: str, root: Path) -> tuple[Change, ...]:
    documents = YAML(typ="safe", pure=True).load_all(manifests)
    for namespace in [d["metadata"]["name"] for d in documents if d["kind"] == "Namespace"]:
        # Nothing can be compared in a namespace that is not there.
        if not run([*kubectl, "get", "namespace", namespace, *_SILENT], root).stdout:
            return (Change("cluster", f"everything in the new namespace {namespace} created"),)
    done = run([*kubectl, "diff", "--filename", "-"], root, text=manifests, allowed=(_SAME, _DIFFERENT))
    return tuple(_object_changes(done.stdout))


def _object_changes(diff: str) -> Iterator[Change]:
    """Return the lines that change, object by object; kubectl masks the values of Secrets itself."""
    for part in re.split(r"^diff -u.*/", diff, flags=re.MULTILINE)[1:]:
        name, *lines = part.splitlines()
        changed = [line for line in lines if line.startswith(("+", "-")) and not line.startswith(_NO_CHANGE)]
        yield Change(f"cluster {name}", "".join(f"\n    {line}" for line in changed) or "changed")


def _dumped(documents: list[Any]) -> str:
    stream = StringIO()
    YAML(typ="safe", pure=True).dump_all(documents, stream)
    return stream.getvalue()
