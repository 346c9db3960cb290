"""Read a secret's text from the store that keeps it."""

from typing import Any

from prefect_aws import AwsSecret
from prefect_gcp import GcpSecret
from pydantic import SecretStr

from seedtest.errors import ConfigurationError


def secret_text(block: GcpSecret | AwsSecret) -> SecretStr:
    """Return what a secret block's store holds, without the blanks and the line end that shells leave behind.

    Raises
    ------
    ConfigurationError
        The secret is empty or no text. What the store's client raises goes on as it is.
    """
    # Bytes or text, as it was stored; typed as a coroutine too, which it is under an event loop only.
    value: Any = block.read_secret()
    try:
        text = value if isinstance(value, str) else bytes(value).decode()
    except UnicodeDecodeError:
        # Without the cause, which quotes the secret.
        raise ConfigurationError(
            f"The secret {block.secret_name} holds no text in UTF-8. Store its value anew."
        ) from None
    if not text.strip():
        raise ConfigurationError(f"The secret {block.secret_name} is empty. Store its value.")
    return SecretStr(text.strip())
