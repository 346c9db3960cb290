"""The IRT service as a block: where it is, how long a run waits for it, and who keeps its token."""

from urllib.parse import urlsplit

from prefect.blocks.core import Block
from prefect_aws.secrets_manager import AwsSecret
from prefect_gcp.secret_manager import GcpSecret
from pydantic import ConfigDict, Field, SecretStr, field_validator

from blocks.secret_text import secret_text
from seedtest.settings import Settings

DEFAULTS = Settings.model_fields


class IrtService(Block):
    """The service that fits item response models where IRT_ENGINE is http.

    It holds no secret: the token stays in the secret store that `token` names.

    Example:
        Load the stored service:
        ```python
        from blocks.irt_service import IrtService

        irt_service = IrtService.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "IRT Service"
    _block_type_slug = "irt-service"
    model_config = ConfigDict(hide_input_in_errors=True)

    url: str = Field(
        default=DEFAULTS["r_irt_base_url"].default,
        title="URL",
        description="Address of the service, without a path.",
    )
    token: GcpSecret | AwsSecret | None = Field(
        default=None, description="Block of the secret that holds the bearer token; empty: none is sent."
    )
    timeout_secs: float = Field(
        default=DEFAULTS["r_irt_timeout_secs"].default,
        gt=0,
        description="Seconds that one call may take, upload, fit and download.",
    )
    max_calls: int = Field(
        default=DEFAULTS["mirt_max_retries"].default,
        ge=1,
        description="Calls that fail before the service counts as down.",
    )
    retry_delay_secs: float = Field(
        default=DEFAULTS["mirt_retry_delay_secs"].default,
        ge=0,
        description="Seconds between the first two calls; each wait doubles the last.",
    )

    @field_validator("url")
    @classmethod
    def _is_plain_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an http:// or https:// address")
        if parts.username or parts.password:
            raise ValueError("must not hold a password; the token belongs in a secret store")
        return value

    def read_token(self) -> SecretStr | None:
        """Return the bearer token, read from its store now; None if none is sent."""
        return None if self.token is None else secret_text(self.token)
