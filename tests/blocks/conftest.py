"""Real parts for the tests of blocks: a Prefect server, Amazon's services, Google's, the IRT service."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings
from prefect.testing.utilities import prefect_test_harness
from ruamel.yaml import YAML

from tests.amazon import REGION
from tests.blocks.google_cloud import GoogleCloud, google_cloud
from tests.conftest import ROOT
from tests.irt_service.services import TOKEN, Service, running

WriteEnvironment = Callable[..., tuple[str, ...]]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def prefect_api_url() -> Iterator[str]:
    """A Prefect server of the tests' own; without the heartbeat, whose thread costs a second a flow."""
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        url = get_current_settings().api.url
        assert url is not None
        yield url


@pytest.fixture
def client(prefect_api_url: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client
        for document in client.read_block_documents(limit=None):
            client.delete_block_document(document.id)


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleCloud]:
    with google_cloud(tmp_path_factory.mktemp("google")) as cloud:
        yield cloud


class AmazonSecrets:
    """Amazon's Secrets Manager, written to as a mapping."""

    def __init__(self, url: str) -> None:
        self._manager = boto3.client("secretsmanager", endpoint_url=url, region_name=REGION)
        self._names: list[str] = []

    def __setitem__(self, name: str, value: str | bytes) -> None:
        kind = "SecretString" if isinstance(value, str) else "SecretBinary"
        self._manager.create_secret(Name=name, **{kind: value})
        self._names.append(name)

    def clear(self) -> None:
        for name in self._names:
            self._manager.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        self._manager.close()


@pytest.fixture
def amazon_secrets(amazon: str, amazon_keys: None) -> Iterator[AmazonSecrets]:
    """Amazon's Secrets Manager, empty before and after."""
    secrets = AmazonSecrets(amazon)
    yield secrets
    secrets.clear()


@pytest.fixture(scope="session")
def irt_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The IRT service, which asks for TOKEN."""
    with running("embedded", tmp_path_factory.mktemp("service"), TOKEN) as service:
        yield service


@pytest.fixture
def write_environment(tmp_path: Path) -> WriteEnvironment:
    """Write an environment with the blocks given, and return the options that name it."""

    def write(**blocks: str) -> tuple[str, ...]:
        pool = {"name": "seedtest-local", "type": "process", "description": "Of the tests."}
        contents = {"work_pools": [pool], "batch_pool": pool["name"], "blocks": blocks}
        YAML().dump(contents, tmp_path / "tests.yaml")
        return "--env", "tests", "--environments", str(tmp_path)

    return write


@pytest.fixture
def command(prefect_api_url: str, google: GoogleCloud) -> Command:
    """Run `python -m blocks` where a pod would: with its identity, and without what a developer has set."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        foreign = ("DATABASE_URL", "R_IRT_", "GOOGLE_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return subprocess.run(
            [sys.executable, "-m", "blocks", *arguments, "--api-url", prefect_api_url],
            env=inherited | google.environment | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
