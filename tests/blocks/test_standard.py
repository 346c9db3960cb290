"""What every block of the table must be: described, with an example, and silent about its secrets."""

import json
import re
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient

from blocks.table import block_classes
from tests.blocks.planted_blocks import Planted, planted_blocks
from tests.prefect_requests import ask


@pytest.fixture
def planted() -> dict[type[Block], Planted]:
    return planted_blocks()


pytestmark = pytest.mark.parametrize("kind", block_classes(), ids=lambda kind: kind.__name__)


def test_it_says_what_it_is_for(kind: type[Block]) -> None:
    assert kind.get_description()
    assert kind.get_block_type_slug() in {
        "gcp-credentials",
        "gcpsecret",
        "aws-credentials",
        "aws-secret",
        "s3-bucket",
        "irt-service",
    }


def test_every_field_is_described(kind: type[Block]) -> None:
    for name, field in kind.model_fields.items():
        # Prefect's form shows the other block's description in their place.
        if not Block.annotation_refers_to_block_class(field.annotation):
            assert field.description, name
            assert field.description.endswith("."), name


def test_its_example_imports_and_loads_it(kind: type[Block]) -> None:
    example = kind.get_code_example() or ""
    assert re.search(rf"^from \S+ import {kind.__name__}$", example, re.MULTILINE)
    assert f'{kind.__name__}.load("BLOCK_NAME")' in example


def leaks(text: str, secrets: tuple[str, ...]) -> list[str]:
    return [secret for secret in secrets if secret in text]


def test_its_secrets_are_masked_in_python(kind: type[Block], planted: dict[type[Block], Planted]) -> None:
    block, secrets = planted[kind].block, planted[kind].secrets
    shown = {
        "repr": repr(block),
        "str": str(block),
        "format": f"{block}",
        "model_dump": repr(block.model_dump()),
        "model_dump(json)": repr(block.model_dump(mode="json")),
        "model_dump_json": block.model_dump_json(),
    }
    assert {way for way, text in shown.items() if leaks(text, secrets)} == set()


def test_its_secrets_are_masked_by_the_api(
    kind: type[Block],
    planted: dict[type[Block], Planted],
    client: SyncPrefectClient,
    prefect_api_url: str,
) -> None:
    block, secrets = planted[kind].block, planted[kind].secrets
    document = block.save("planted", overwrite=True)
    slug = kind.get_block_type_slug()
    # What Prefect's UI asks for, page by page.
    answers: dict[str, Any] = {
        "document": ask("GET", f"{prefect_api_url}/block_documents/{document}"),
        "list": ask("POST", f"{prefect_api_url}/block_documents/filter", {}),
        "by type": ask("GET", f"{prefect_api_url}/block_types/slug/{slug}/block_documents"),
    }
    assert {page for page, answer in answers.items() if leaks(json.dumps(answer), secrets)} == set()
    assert "****" in json.dumps(answers["document"])
    kept = client.read_block_document_by_name("planted", slug, include_secrets=True)
    assert leaks(kept.model_dump_json(), secrets) == list(secrets)
