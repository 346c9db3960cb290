"""An object store on the host, on an address that pods reach; it asks for its keys."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from seedtest.local.object_store import AccessKeys
from tests.k8s_cluster.cluster import eventually
from tests.local.conftest import free_port

RCLONE = Path(sys.executable).with_name("rclone")
REGION = "ap-northeast-2"
BUCKET = "seedtest-reports"
START_SECS = 60


@dataclass(frozen=True)
class Bucket:
    """A bucket, and what opens it."""

    url: str
    keys: AccessKeys

    @property
    def settings(self) -> dict[str, str]:
        """What leads the project to it, nothing of it secret."""
        return {"S3_ENDPOINT_URL": self.url, "S3_BUCKET": BUCKET, "AWS_REGION": REGION}

    @property
    def credentials(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.keys.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret}

    @property
    def secret(self) -> str:
        return self.keys.secret_access_key.get_secret_value()

    def content(self, key: str) -> bytes:
        """Return an object's bytes; ClientError where there is none."""
        found: bytes = self._client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return found

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.keys.access_key_id,
            aws_secret_access_key=self.secret,
        )


@contextmanager
def object_store(host: str, folder: Path) -> Iterator[Bucket]:
    """Serve a folder as S3, with one empty bucket."""
    (folder / BUCKET).mkdir()
    address = f"{host}:{free_port()}"
    made = Bucket(f"http://{address}", AccessKeys.generate())
    environment = {**os.environ, "RCLONE_AUTH_KEY": made.keys.for_rclone, "RCLONE_CONFIG": os.devnull}
    command = [str(RCLONE), "serve", "s3", "--addr", address, str(folder)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _answers(made.url), START_SECS, "the object store")
        yield made
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        # Without a signature it refuses, which is an answer.
        return httpx.get(url, timeout=5).status_code < 500
    except httpx.TransportError:
        return False
