"""Amazon's services on a local address: a real HTTP server, and keys as a pod has them."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest

from tests.irt_service.services import free_port

REGION = "ap-northeast-2"
BUCKET = "seedtest-reports-tests"
START_SECS = 60


@pytest.fixture(scope="session")
def amazon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Amazon's services on a local address, in a process of their own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("amazon") / "log"
    with log.open("wb") as sink:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        _wait_until_up(server, url, log)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_until_up(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECS
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            httpx.get(url + "/moto-api/data.json", timeout=2, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"Amazon's services are not up after {START_SECS} s: {log.read_text()}")


@pytest.fixture
def amazon_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys that External Secrets puts into a pod's environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-key-of-the-tests")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def bucket(amazon: str, amazon_keys: None) -> Iterator[str]:
    """An empty bucket."""
    s3 = boto3.client("s3", endpoint_url=amazon, region_name=REGION)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield BUCKET
    for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])
    s3.delete_bucket(Bucket=BUCKET)
    s3.close()
