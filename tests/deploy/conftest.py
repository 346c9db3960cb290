"""A real Prefect server for each module: deployments leave their marks on it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import BlockDocumentCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.deploy.projects import Project, make_project
from tests.local.conftest import free_port

START_SECS = 120


@contextmanager
def prefect_server(folder: Path, database_url: str | None = None) -> Iterator[str]:
    """Run a server on a database of its own, SQLite unless one is named; give its API's address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {**os.environ, "PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    environment.pop("PREFECT_API_URL", None)
    if database_url:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = database_url
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait(url, process, folder / "server.log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"The server did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def api_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the module's server."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@pytest.fixture(scope="module")
def client(api_url: str) -> Iterator[SyncPrefectClient]:
    """A client of the module's server."""
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as made:
        yield made


def save_block(client: SyncPrefectClient, reference: str, data: dict[str, Any]) -> None:
    """Make a notification block, as an operator does in Prefect's UI."""
    slug, name = reference.split("/")
    kind = client.read_block_type_by_slug(slug)
    (schema, *_) = [s for s in client.read_block_schemas() if s.block_type_id == kind.id]
    client.create_block_document(
        BlockDocumentCreate(name=name, data=data, block_type_id=kind.id, block_schema_id=schema.id)
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, api_url: str) -> Project:
    """A clone of the project, which the module's tests change one after another."""
    return make_project(tmp_path_factory.mktemp("clone") / "project", api_url)
