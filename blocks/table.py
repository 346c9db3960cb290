"""Every block there is, its name, what it is for, and what an environment puts into it.

A block holds addresses and names, never a secret: identities come from where a pod runs, secrets stay in
their store.

| block | for |
|---|---|
| gcp-credentials/seedtest | the pod's own Google identity (Workload Identity), for the secrets below |
| gcpsecret/seedtest-database-url | DATABASE_URL of a run whose environment has none |
| gcpsecret/r-irt-plumber-token | token of the block irt-service/r-irt-plumber |
| aws-credentials/seedtest | the pod's own Amazon identity, for the buckets and the secrets below |
| s3-bucket/seedtest-reports | weekly reports |
| s3-bucket/seedtest-results | results of runs (PREFECT_DEFAULT_RESULT_STORAGE_BLOCK) |
| aws-secret/seedtest-database-url | as gcpsecret's, where the environment's secret_store is aws |
| aws-secret/r-irt-plumber-token | as gcpsecret's, where the environment's secret_store is aws |
| irt-service/r-irt-plumber | R_IRT_* and retries of a run whose environment leaves them out |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prefect.blocks.core import Block
from prefect_aws import AwsCredentials, AwsSecret, S3Bucket
from prefect_gcp import GcpCredentials, GcpSecret
from pydantic import JsonValue

from blocks.environment import BlockEnvironment, SecretStore
from blocks.irt_service import IrtService
from seedtest.errors import ConfigurationError

ACCOUNT = "seedtest"
DATABASE_URL = "seedtest-database-url"
IRT_TOKEN = "r-irt-plumber-token"  # noqa: S105 (the secret's name)
IRT_SERVICE = "r-irt-plumber"
REPORTS = "seedtest-reports"
RESULTS = "seedtest-results"
RESULTS_FOLDER = "results"

STORES: dict[SecretStore, type[GcpSecret | AwsSecret]] = {
    SecretStore.GCP: GcpSecret,
    SecretStore.AWS: AwsSecret,
}


@dataclass(frozen=True)
class BlockReference:
    """A block that another one uses, as Prefect names it: type slug and name."""

    type_slug: str
    name: str

    def __str__(self) -> str:
        return f"{self.type_slug}/{self.name}"


Fields = Mapping[str, JsonValue | BlockReference]
Contents = Callable[[BlockEnvironment], Fields | None]
"""Returns a block's fields in an environment, or None if the environment does without the block."""


@dataclass(frozen=True)
class BlockRow:
    """One row of the table."""

    block: type[Block]
    name: str
    contents: Contents

    @property
    def reference(self) -> BlockReference:
        """The block as Prefect names it."""
        return BlockReference(self.block.get_block_type_slug(), self.name)


@dataclass(frozen=True)
class BlockDeclaration:
    """A block that an environment is to have, with its fields; those left out keep their defaults."""

    block: type[Block]
    reference: BlockReference
    fields: Fields


def _reference(block: type[Block], name: str) -> BlockReference:
    return BlockReference(block.get_block_type_slug(), name)


def _gcp_credentials(environment: BlockEnvironment) -> Fields | None:
    if environment.secret_store is not SecretStore.GCP:
        return None
    # Without the project, the block would ask whatever machine loads it for one.
    return {"project": _required(environment.gcp_project, "gcp_project", "secret_store: gcp")}


def _gcp_secret(name: str) -> Contents:
    def contents(environment: BlockEnvironment) -> Fields | None:
        if environment.secret_store is not SecretStore.GCP:
            return None
        return {"gcp_credentials": _reference(GcpCredentials, ACCOUNT), "secret_name": name}

    return contents


def _aws_credentials(environment: BlockEnvironment) -> Fields | None:
    if environment.s3_bucket is None and environment.secret_store is not SecretStore.AWS:
        return None
    fields: dict[str, JsonValue | BlockReference] = {
        "region_name": _required(environment.aws_region, "aws_region", "s3_bucket or secret_store: aws")
    }
    if environment.aws_role_arn is not None:
        fields["assume_role_arn"] = environment.aws_role_arn
    if environment.aws_endpoint_url is not None:
        fields["aws_client_parameters"] = {"endpoint_url": environment.aws_endpoint_url}
    return fields


def _aws_secret(name: str) -> Contents:
    def contents(environment: BlockEnvironment) -> Fields | None:
        if environment.secret_store is not SecretStore.AWS:
            return None
        return {"aws_credentials": _reference(AwsCredentials, ACCOUNT), "secret_name": name}

    return contents


def _bucket(folder: str) -> Contents:
    def contents(environment: BlockEnvironment) -> Fields | None:
        if environment.s3_bucket is None:
            return None
        return {
            "bucket_name": environment.s3_bucket,
            "bucket_folder": folder,
            "credentials": _reference(AwsCredentials, ACCOUNT),
        }

    return contents


def _irt_service(environment: BlockEnvironment) -> Fields | None:
    if environment.irt_service_url is None:
        return None
    store = STORES.get(environment.secret_store)
    token = {} if store is None else {"token": _reference(store, IRT_TOKEN)}
    return {"url": environment.irt_service_url, **token}


# In the order of their references: what a block uses stands above it.
TABLE = (
    BlockRow(GcpCredentials, ACCOUNT, _gcp_credentials),
    BlockRow(GcpSecret, DATABASE_URL, _gcp_secret(DATABASE_URL)),
    BlockRow(GcpSecret, IRT_TOKEN, _gcp_secret(IRT_TOKEN)),
    BlockRow(AwsCredentials, ACCOUNT, _aws_credentials),
    BlockRow(S3Bucket, REPORTS, _bucket("")),
    BlockRow(S3Bucket, RESULTS, _bucket(RESULTS_FOLDER)),
    BlockRow(AwsSecret, DATABASE_URL, _aws_secret(DATABASE_URL)),
    BlockRow(AwsSecret, IRT_TOKEN, _aws_secret(IRT_TOKEN)),
    BlockRow(IrtService, IRT_SERVICE, _irt_service),
)


def block_classes() -> tuple[type[Block], ...]:
    """Return the classes of the table, each once."""
    return tuple(dict.fromkeys(row.block for row in TABLE))


def declared(environment: BlockEnvironment) -> tuple[BlockDeclaration, ...]:
    """Return the blocks of an environment in the order of their references.

    Raises
    ------
    ConfigurationError
        The environment leaves out what one of its blocks needs.
    """
    rows = ((row, row.contents(environment)) for row in TABLE)
    return tuple(
        BlockDeclaration(row.block, row.reference, fields) for row, fields in rows if fields is not None
    )


def not_declared(environment: BlockEnvironment) -> tuple[BlockReference, ...]:
    """Return the blocks that the environment does without, those that use others first."""
    return tuple(row.reference for row in reversed(TABLE) if row.contents(environment) is None)


def _required(value: str | None, field: str, needed_by: str) -> str:
    if value is None:
        raise ConfigurationError(f"The environment's blocks lack {field}, which {needed_by} needs. Set it.")
    return value
