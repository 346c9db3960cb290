"""Make a Prefect server's blocks what the table says, and tell what that changes."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import BlockDocumentCreate, BlockDocumentUpdate
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel

from blocks.environment import BlockEnvironment
from blocks.table import BlockDeclaration, BlockReference, declared, not_declared

SCHEMA = "schema"


class ChangeKind(StrEnum):
    """What a registration does to a block or a block type."""

    CREATED = "created"
    UPDATED = "updated"
    REMOVED = "removed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Change:
    """What happens to one block or block type; `fields` names what of it, without values."""

    subject: str
    kind: ChangeKind
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.subject}: {self.kind}{': ' if self.fields else ''}{', '.join(self.fields)}"


def register(
    environment: BlockEnvironment, client: SyncPrefectClient, *, dry_run: bool = False
) -> tuple[Change, ...]:
    """Register types and blocks of an environment, remove those of the table that it does without.

    Documents are written by the API, not by `Block.save`: to construct a keyless credentials block one has
    to be where it is to be used, and whoever registers it seldom is.
    """
    declarations = declared(environment)
    types = dict.fromkeys(declaration.block for declaration in declarations)
    return (
        *(_register_type(block, client, dry_run=dry_run) for block in types),
        *(_register_block(declaration, client, dry_run=dry_run) for declaration in declarations),
        *_remove(not_declared(environment), client, dry_run=dry_run),
    )


def _register_type(block: type[Block], client: SyncPrefectClient, *, dry_run: bool) -> Change:
    slug = block.get_block_type_slug()
    subject = f"block type {slug}"
    try:
        known = client.read_block_type_by_slug(slug)
    except ObjectNotFound:
        change = Change(subject, ChangeKind.CREATED)
    else:
        same = {
            "description": html.unescape(known.description or "") == (block.get_description() or ""),
            "example": html.unescape(known.code_example or "") == (block.get_code_example() or ""),
            SCHEMA: _schema_id(block, client) is not None,
        }
        change = _updated(subject, tuple(name for name, is_same in same.items() if not is_same))
    if not dry_run and change.kind is not ChangeKind.UNCHANGED:
        block.register_type_and_schema()
    return change


def _updated(subject: str, fields: tuple[str, ...]) -> Change:
    return Change(subject, ChangeKind.UPDATED if fields else ChangeKind.UNCHANGED, fields)


def _schema_id(block: type[Block], client: SyncPrefectClient) -> UUID | None:
    """Return the id of this version's schema; Prefect finds it by a checksum it has no public name for."""
    try:
        return client.read_block_schema_by_checksum(
            block._calculate_schema_checksum(), version=block.get_block_schema_version()
        ).id
    except ObjectNotFound:
        return None


def find_document(reference: BlockReference, client: SyncPrefectClient) -> BlockDocument | None:
    """Return a block's document with its secrets masked, or None without one."""
    try:
        return client.read_block_document_by_name(reference.name, reference.type_slug, include_secrets=False)
    except ObjectNotFound:
        return None


def _register_block(declaration: BlockDeclaration, client: SyncPrefectClient, *, dry_run: bool) -> Change:
    known = find_document(declaration.reference, client)
    if known is None:
        change = Change(str(declaration.reference), ChangeKind.CREATED)
    else:
        change = _updated(str(declaration.reference), differing(declaration, known, client))
    if not dry_run and change.kind is not ChangeKind.UNCHANGED:
        _write(declaration, known, client)
    return change


def differing(
    declaration: BlockDeclaration, known: BlockDocument, client: SyncPrefectClient
) -> tuple[str, ...]:
    """Return the names of the fields in which a block is not what it is declared to be."""
    wanted: dict[str, Any] = _defaults(declaration.block) | dict(declaration.fields)
    found: dict[str, Any] = _defaults(declaration.block) | known.data | _references(known)
    names = [name for name in sorted(wanted | found) if wanted.get(name) != found.get(name)]
    schema = [SCHEMA] if known.block_schema_id != _schema_id(declaration.block, client) else []
    return (*names, *schema)


def _defaults(block: type[Block]) -> dict[str, Any]:
    """Return the default of every field that has one, as the API tells it."""
    defaults = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in block.model_fields.items()
        if not field.is_required()
    }
    return {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for name, value in defaults.items()
    }


def _references(document: BlockDocument) -> dict[str, BlockReference]:
    """Return which block each field that is one refers to."""
    nested = {
        name: reference["block_document"] for name, reference in document.block_document_references.items()
    }
    return {
        name: BlockReference(block["block_type"]["slug"], block["name"]) for name, block in nested.items()
    }


def _write(declaration: BlockDeclaration, known: BlockDocument | None, client: SyncPrefectClient) -> None:
    data = {name: _stored(value, client) for name, value in declaration.fields.items()}
    schema_id = _schema_id(declaration.block, client)
    if known is None:
        block_type = client.read_block_type_by_slug(declaration.reference.type_slug)
        client.create_block_document(
            BlockDocumentCreate(
                name=declaration.reference.name,
                data=data,
                block_schema_id=schema_id,
                block_type_id=block_type.id,
            )
        )
    else:
        client.update_block_document(
            known.id, BlockDocumentUpdate(block_schema_id=schema_id, data=data, merge_existing_data=False)
        )


def _stored(value: Any, client: SyncPrefectClient) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a field's value as the API takes it: a reference by the id of the other block's document."""
    if not isinstance(value, BlockReference):
        return value
    document = client.read_block_document_by_name(value.name, value.type_slug, include_secrets=False)
    return {"$ref": {"block_document_id": str(document.id)}}


def _remove(
    references: tuple[BlockReference, ...], client: SyncPrefectClient, *, dry_run: bool
) -> Iterator[Change]:
    for reference in references:
        document = find_document(reference, client)
        if document is None:
            continue
        if not dry_run:
            client.delete_block_document(document.id)
        yield Change(str(reference), ChangeKind.REMOVED)
