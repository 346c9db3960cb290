"""The work pools' base job templates: one file a pool, changed by what a cluster's overlay says."""

import json
from pathlib import Path
from typing import Any

import jsonpatch

from seedtest.errors import ConfigurationError

HERE = Path(__file__).parent
PATCH = "job-template.patch.json"


def job_template(pool_type: str, overlay: str) -> dict[str, Any]:
    """Return the base job template of a pool's type ("kubernetes" or "process") for `k8s/overlays/<overlay>`.

    Raises
    ------
    ConfigurationError
        There is no such template or overlay, or the overlay's patch does not fit the template.
    """
    source = HERE / "work-pool" / f"{pool_type}.json"
    folder = HERE / "overlays" / overlay
    for path in (source, folder):
        if not path.exists():
            raise ConfigurationError(f"{path} does not exist; the others are {_siblings(path)}.")
    template: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    patch = folder / PATCH
    if pool_type != "kubernetes" or not patch.exists():
        return template
    return patched(template, patch)


def patched(template: dict[str, Any], patch: Path) -> dict[str, Any]:
    """Return the template as a JSON patch (RFC 6902) changes it."""
    try:
        changed: dict[str, Any] = jsonpatch.apply_patch(
            template, json.loads(patch.read_text(encoding="utf-8"))
        )
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, json.JSONDecodeError) as error:
        raise ConfigurationError(
            f"{patch} does not fit k8s/work-pool/kubernetes.json: {error}. Mend its paths."
        ) from error
    return changed


def _siblings(path: Path) -> str:
    return ", ".join(sorted(sibling.stem for sibling in path.parent.iterdir()))
