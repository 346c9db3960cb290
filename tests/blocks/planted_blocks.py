"""A block of every class of the table with a secret wherever its class has a place for one."""

from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from prefect.blocks.core import Block
from prefect_aws import AwsCredentials, AwsSecret, S3Bucket
from prefect_gcp import GcpCredentials, GcpSecret

from blocks.irt_service import IrtService

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


def planted_blocks() -> dict[type[Block], Planted]:
    """Return a block of every class, secrets also in the blocks that it uses."""
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
