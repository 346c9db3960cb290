"""The OpenAPI document of bodies that are read by hand."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

SCHEMAS: Final = "#/components/schemas/{model}"


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
        document.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
