"""Registering blocks: what it writes, what it says, and that saying it twice changes nothing."""

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import BlockDocumentUpdate, BlockSchemaCreate
from typer.testing import CliRunner

from blocks.__main__ import app
from blocks.environment import BlockEnvironment, SecretStore
from blocks.registration import Change, ChangeKind, find_document, register
from blocks.table import TABLE, BlockReference, declared
from deploy.environment import FOLDER, load_environment
from seedtest.errors import ConfigurationError
from tests.blocks.conftest import Command, WriteEnvironment

GOOGLE = BlockEnvironment(
    secret_store=SecretStore.GCP,
    gcp_project="a-project",
    aws_region="ap-northeast-2",
    s3_bucket="a-bucket",
    irt_service_url="http://irt.example:80",
)
BLOCKS_OF_GOOGLE = {
    "gcp-credentials/seedtest",
    "gcpsecret/seedtest-database-url",
    "gcpsecret/r-irt-plumber-token",
    "aws-credentials/seedtest",
    "s3-bucket/seedtest-reports",
    "s3-bucket/seedtest-results",
    "irt-service/r-irt-plumber",
}


def changes(
    found: tuple[Change, ...], *, of_types: bool = False
) -> dict[str, tuple[ChangeKind, tuple[str, ...]]]:
    """Return what changes, by subject; blocks or block types."""
    return {
        change.subject: (change.kind, change.fields)
        for change in found
        if change.kind is not ChangeKind.UNCHANGED and change.subject.startswith("block type") == of_types
    }


def test_the_first_time_creates_and_the_second_changes_nothing(client: SyncPrefectClient) -> None:
    first = register(GOOGLE, client)
    assert changes(first) == dict.fromkeys(BLOCKS_OF_GOOGLE, (ChangeKind.CREATED, ()))
    second = register(GOOGLE, client)
    assert len(second) == len(first)
    assert {change.kind for change in second} == {ChangeKind.UNCHANGED}


def test_a_dry_run_says_the_same_and_touches_nothing(client: SyncPrefectClient) -> None:
    said = register(GOOGLE, client, dry_run=True)
    assert client.read_block_documents() == []
    assert changes(register(GOOGLE, client)) == changes(said)


def test_only_what_differs_changes_and_is_named(client: SyncPrefectClient) -> None:
    register(GOOGLE, client)
    edited = GOOGLE.model_copy(update={"s3_bucket": "another", "aws_role_arn": "arn:aws:iam::1:role/r"})
    assert changes(register(edited, client)) == {
        "aws-credentials/seedtest": (ChangeKind.UPDATED, ("assume_role_arn",)),
        "s3-bucket/seedtest-reports": (ChangeKind.UPDATED, ("bucket_name",)),
        "s3-bucket/seedtest-results": (ChangeKind.UPDATED, ("bucket_name",)),
    }
    assert changes(register(edited, client)) == {}


def test_what_was_changed_by_hand_is_set_right(client: SyncPrefectClient) -> None:
    register(GOOGLE, client)
    document = find_document(BlockReference("aws-credentials", "seedtest"), client)
    assert document is not None
    by_hand = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "a-secret-by-hand"}
    client.update_block_document(
        document.id, BlockDocumentUpdate(block_schema_id=document.block_schema_id, data=by_hand)
    )
    found = register(GOOGLE, client)
    assert changes(found) == {
        "aws-credentials/seedtest": (
            ChangeKind.UPDATED,
            ("aws_access_key_id", "aws_secret_access_key"),
        )
    }
    assert not any("a-secret-by-hand" in str(change) for change in found)
    stored = client.read_block_document(document.id, include_secrets=True)
    assert stored.data == {"region_name": "ap-northeast-2"}


def test_another_secret_store_removes_the_blocks_of_the_first(client: SyncPrefectClient) -> None:
    register(GOOGLE, client)
    amazon = GOOGLE.model_copy(update={"secret_store": SecretStore.AWS})
    assert changes(register(amazon, client)) == {
        "aws-secret/seedtest-database-url": (ChangeKind.CREATED, ()),
        "aws-secret/r-irt-plumber-token": (ChangeKind.CREATED, ()),
        "irt-service/r-irt-plumber": (ChangeKind.UPDATED, ("token",)),
        "gcpsecret/seedtest-database-url": (ChangeKind.REMOVED, ()),
        "gcpsecret/r-irt-plumber-token": (ChangeKind.REMOVED, ()),
        "gcp-credentials/seedtest": (ChangeKind.REMOVED, ()),
    }
    assert changes(register(amazon, client)) == {}


def test_blocks_of_others_stay(client: SyncPrefectClient) -> None:
    Secret(value="somebody's").save("seedtest-database-url")
    register(BlockEnvironment(), client)
    assert [document.name for document in client.read_block_documents()] == ["seedtest-database-url"]


def test_the_server_keeps_a_reference_to_what_a_block_uses(client: SyncPrefectClient) -> None:
    register(GOOGLE, client)
    service = find_document(BlockReference("irt-service", "r-irt-plumber"), client)
    token = find_document(BlockReference("gcpsecret", "r-irt-plumber-token"), client)
    assert service is not None
    assert token is not None
    assert service.block_document_references["token"]["block_document"]["id"] == str(token.id)


def test_an_older_document_is_brought_to_this_versions_schema(client: SyncPrefectClient) -> None:
    register(GOOGLE, client)
    block_type = client.read_block_type_by_slug("irt-service")
    older = client.create_block_schema(
        BlockSchemaCreate(fields={"type": "object", "properties": {}}, block_type_id=block_type.id)
    )
    document = find_document(BlockReference("irt-service", "r-irt-plumber"), client)
    assert document is not None
    client.update_block_document(
        document.id, BlockDocumentUpdate(block_schema_id=older.id, data={"url": GOOGLE.irt_service_url})
    )
    kind, fields = changes(register(GOOGLE, client))["irt-service/r-irt-plumber"]
    assert kind is ChangeKind.UPDATED
    assert "schema" in fields
    assert changes(register(GOOGLE, client)) == {}


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.yaml")))
def test_every_environment_of_the_repository_can_be_declared_without_secrets(name: str) -> None:
    for declaration in declared(load_environment(name).blocks):
        fields = set(declaration.fields)
        assert fields <= set(declaration.block.model_fields)
        required = {field for field, info in declaration.block.model_fields.items() if info.is_required()}
        assert required <= fields
        secret = {path.partition(".")[0] for path in declaration.block.model_json_schema()["secret_fields"]}
        given = {
            field for field in fields & secret if not isinstance(declaration.fields[field], BlockReference)
        }
        assert given == set()


def test_a_block_stands_below_what_it_uses() -> None:
    known: set[BlockReference] = set()
    for store in SecretStore:
        environment = GOOGLE.model_copy(update={"secret_store": store})
        for declaration in declared(environment):
            used = {value for value in declaration.fields.values() if isinstance(value, BlockReference)}
            assert used <= known
            known.add(declaration.reference)
    assert known == {row.reference for row in TABLE}


@pytest.mark.parametrize(
    ("blocks", "lacking"),
    [
        ({"secret_store": SecretStore.GCP}, "gcp_project"),
        ({"secret_store": SecretStore.AWS}, "aws_region"),
        ({"s3_bucket": "a-bucket"}, "aws_region"),
    ],
)
def test_an_environment_that_lacks_something_is_refused(blocks: dict[str, str], lacking: str) -> None:
    with pytest.raises(ConfigurationError, match=f"lack {lacking}"):
        declared(BlockEnvironment.model_validate(blocks))


def test_the_command_says_what_changed(
    client: SyncPrefectClient, prefect_api_url: str, write_environment: WriteEnvironment
) -> None:
    options = (*write_environment(secret_store="gcp", gcp_project="a-project"), "--api-url", prefect_api_url)
    said = CliRunner().invoke(app, ["register", *options, "--dry-run"])
    assert said.exit_code == 0, said.output
    assert "would change; dry run: nothing did." in said.output
    assert client.read_block_documents() == []
    said = CliRunner().invoke(app, ["register", *options])
    assert "gcpsecret/seedtest-database-url: created" in said.output.splitlines()
    assert "No change." in CliRunner().invoke(app, ["register", *options]).output


def test_the_command_refuses_an_unknown_environment(command: Command) -> None:
    said = command("register", "--env", "nowhere")
    assert said.returncode == 1
    assert "There is no environment nowhere" in said.stderr
    assert "Traceback" not in said.stderr
