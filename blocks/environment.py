"""What the blocks need to know of an environment; nothing of it is secret."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class SecretStore(StrEnum):
    """Where an environment keeps the secrets that a run reads through blocks."""

    GCP = "gcp"
    AWS = "aws"
    NONE = "none"


class BlockEnvironment(BaseModel):
    """The part of an environment's file that decides its blocks."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secret_store: SecretStore = Field(
        SecretStore.NONE,
        description="Store of the secrets a run reads where its environment has none: gcp, aws or none",
    )
    gcp_project: str | None = Field(None, description="Google project of the secrets")
    aws_region: str | None = Field(None, description="Region of the bucket and of Amazon's secrets")
    aws_role_arn: str | None = Field(
        None, description="Role that a pod assumes with the identity it has; unset: that identity itself"
    )
    aws_endpoint_url: str | None = Field(
        None, description="Address of an S3 that is not Amazon's; unset: Amazon's"
    )
    s3_bucket: str | None = Field(None, description="Bucket of reports and results; unset: none of either")
    irt_service_url: str | None = Field(
        None, description="Address of the IRT service; unset: the environment says, or none is used"
    )
