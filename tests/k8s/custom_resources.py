"""Custom resources against the fields that their published definitions have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

KNOWN: dict[str, Any] = YAML(typ="safe", pure=True).load(
    Path(__file__).with_name("custom_resource_fields.yaml")
)


def faults(resource: dict[str, Any]) -> list[str]:
    """What is wrong with a custom resource's spec, by path; nothing for a sound one."""
    try:
        fields = KNOWN[resource["apiVersion"]][resource["kind"]]
    except KeyError:
        return [f"{resource['apiVersion']} {resource['kind']} is not known"]
    return list(_faults(resource["spec"], fields, "spec"))


def _faults(value: Any, fields: Any, path: str) -> Iterator[str]:
    if fields == {}:
        return
    if isinstance(fields, list):
        if not isinstance(value, list):
            yield f"{path} must be a list"
            return
        for index, element in enumerate(value):
            yield from _faults(element, fields[0], f"{path}[{index}]")
        return
    if not isinstance(value, dict):
        yield f"{path} must be an object"
        return
    known = {field.rstrip("!"): inner for field, inner in fields.items()}
    yield from (f"{path}.{field} does not exist" for field in value.keys() - known.keys())
    yield from (
        f"{path}.{field.rstrip('!')} is missing"
        for field in fields
        if field.endswith("!") and field.rstrip("!") not in value
    )
    for field in value.keys() & known.keys():
        yield from _faults(value[field], known[field], f"{path}.{field}")
