"""The OpenAPI document of bodies that are read by hand."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

SCHEMAS: Final = "#/components/schemas/{model}"
FASTAPIS_422: Final = "HTTPValidationError"


def request_body(model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a route says of its body."""
    schema = {"$ref": SCHEMAS.format(model=model.__name__)}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": dict(example)}},
        }
    }


def describe_bodies(app: FastAPI, models: Sequence[type[BaseModel]]) -> None:
    """Add the models of bodies to the document of an application."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=SCHEMAS)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(definitions["$defs"])
        _forget_fastapis_422(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _forget_fastapis_422(document: dict[str, Any]) -> None:
    """Take out FastAPI's own answer to parameters that are wrong: `refusals` answers 400."""
    schemas = document["components"]["schemas"]
    if schemas.pop(FASTAPIS_422, None) is None:
        return
    schemas.pop("ValidationError", None)
    for operation in (one for path in document["paths"].values() for one in path.values()):
        said = operation["responses"].get("422", {}).get("content", {}).get("application/json", {})
        if said.get("schema") == {"$ref": SCHEMAS.format(model=FASTAPIS_422)}:
            del operation["responses"]["422"]
