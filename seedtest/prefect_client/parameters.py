"""Parameters of a run as a person types them, read as the deployment's schema wants them."""

import datetime as dt
import json
from collections.abc import Mapping

from seedtest.errors import StackError
from seedtest.prefect_client.models import Deployment

_Schema = Mapping[str, object]


def read_parameters(deployment: Deployment, texts: Mapping[str, str]) -> dict[str, object]:
    """Return the parameters as values of the kinds that the deployment's flow takes."""
    schema = deployment.parameter_openapi_schema
    known = schema.properties if schema else {}
    unknown = sorted(set(texts) - set(known))
    if unknown:
        takes = f"takes {', '.join(known)}" if known else "takes none"
        raise StackError(f"{deployment.name} has no parameter {', '.join(unknown)}: it {takes}.")
    for name, text in texts.items():
        _require_format(deployment.name, name, text, known[name])
    return {name: _read(text, _named(known[name], "type")) for name, text in texts.items()}


def _require_format(deployment: str, name: str, text: str, schema: _Schema) -> None:
    """Refuse what is no day: the server checks types, but leaves formats to the flow."""
    if "date" not in _named(schema, "format") or text in {"", "null"}:
        return
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        raise StackError(
            f"{deployment} cannot take {name}={text}: it is no day. Write it as 2026-10-30."
        ) from None


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


def _named(schema: _Schema, key: str) -> frozenset[str]:
    """Return the JSON types, or formats, that a schema names; none for a reference to another schema."""
    alternatives = schema.get("anyOf")
    if isinstance(alternatives, list):
        return frozenset().union(*(_named(alternative, key) for alternative in alternatives))
    value = schema.get(key)
    return frozenset({value}) if isinstance(value, str) else frozenset()
