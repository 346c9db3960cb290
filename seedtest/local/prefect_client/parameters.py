"""Parameters of a run as a person types them, read as the deployment's schema wants them."""

import json
from collections.abc import Mapping

from seedtest.errors import StackError
from seedtest.local.prefect_client.models import Deployment

_Schema = Mapping[str, object]


def read_parameters(deployment: Deployment, texts: Mapping[str, str]) -> dict[str, object]:
    """Return the parameters as values of the kinds that the deployment's flow takes."""
    schema = deployment.parameter_openapi_schema
    known = schema.properties if schema else {}
    unknown = sorted(set(texts) - set(known))
    if unknown:
        takes = f"takes {', '.join(known)}" if known else "takes none"
        raise StackError(f"{deployment.name} has no parameter {', '.join(unknown)}: it {takes}.")
    return {name: _read(text, _kinds(known[name])) for name, text in texts.items()}


def _read(text: str, kinds: frozenset[str]) -> object:
    """Return a text as JSON where the flow wants no text; an empty one or null as nothing."""
    if "null" in kinds and text in {"", "null"}:
        return None
    if "string" in kinds:
        return text
    try:
        return json.loads(text)
    except ValueError:
        # A name of an enumeration, or a mistake that the server's check of the schema explains.
        return text


def _kinds(schema: _Schema) -> frozenset[str]:
    """Return the JSON types that a schema names; none for a reference to another schema."""
    alternatives = schema.get("anyOf")
    if isinstance(alternatives, list):
        return frozenset().union(*(_kinds(alternative) for alternative in alternatives))
    kind = schema.get("type")
    return frozenset({kind}) if isinstance(kind, str) else frozenset()
