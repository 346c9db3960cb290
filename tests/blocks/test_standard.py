"""What every block of the table must be: described, with an example, and silent about its secrets."""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient
from prefect_aws import AwsCredentials, AwsSecret, S3Bucket
from prefect_gcp import GcpCredentials, GcpSecret

from blocks.irt_service import IrtService
from blocks.table import block_classes
from tests.prefect_requests import ask

AWS_SECRET = "planted-aws-secret-access-key"


@dataclass(frozen=True)
class Planted:
    """A block with a secret wherever its class has a place for one."""

    block: Block
    secrets: tuple[str, ...]


@cache
def key_file() -> dict[str, str]:
    """Return the contents of a Google key file, with a key of the test's own."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, none = serialization.Encoding.PEM, serialization.NoEncryption()
    return {
        "type": "service_account",
        "project_id": "a-project",
        "private_key_id": "planted-key-id",
        "private_key": key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, none).decode(),
        "client_email": "a@a-project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


@pytest.fixture
def planted() -> dict[type[Block], Planted]:
    """A block of every class, secrets also in the blocks that it uses."""
    info = key_file()
    line = info["private_key"].splitlines()[1]
    google = GcpCredentials(service_account_info=info)
    amazon = AwsCredentials(aws_access_key_id="AKIA", aws_secret_access_key=AWS_SECRET)
    secret = GcpSecret(gcp_credentials=google, secret_name="a-secret")
    of_google, of_amazon = (line, "planted-key-id"), (AWS_SECRET,)
    return {
        GcpCredentials: Planted(google, of_google),
        GcpSecret: Planted(secret, of_google),
        AwsCredentials: Planted(amazon, of_amazon),
        AwsSecret: Planted(AwsSecret(aws_credentials=amazon, secret_name="a-secret"), of_amazon),
        S3Bucket: Planted(S3Bucket(bucket_name="a-bucket", credentials=amazon), of_amazon),
        IrtService: Planted(IrtService(url="http://irt.example", token=secret), of_google),
    }


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
