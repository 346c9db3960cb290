"""What a block points at, as messages name it."""

from functools import singledispatch

from prefect.blocks.core import Block
from prefect_aws import AwsSecret, S3Bucket
from prefect_gcp import GcpSecret

from blocks.diagnosis import Target
from blocks.irt_service import IrtService


@singledispatch
def target(_block: Block, subject: str) -> Target:
    """Return what a block points at."""
    return Target(subject, subject)


@target.register
def _(block: GcpSecret, subject: str) -> Target:
    return Target(subject, block.secret_name, block.gcp_credentials.project or "PROJECT")


@target.register
def _(block: AwsSecret, subject: str) -> Target:
    return Target(subject, block.secret_name)


@target.register
def _(block: S3Bucket, subject: str) -> Target:
    return Target(subject, block.bucket_name)


@target.register
def _(block: IrtService, subject: str) -> Target:
    """Return the token's secret: what else can be wrong of the service has its own words."""
    return Target(subject, subject) if block.token is None else target(block.token, subject)
