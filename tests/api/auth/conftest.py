"""A key server with one key, and a service that trusts it."""

from collections.abc import Iterator

import httpx
import pytest

from seedtest.api.auth.key_sources import KeyServer
from tests.api.auth.issuing import KEY_ID, key_set, published
from tests.api.auth.key_servers import Served, key_server
from tests.api.auth.services import create_app, jwt_config, running


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def served() -> Iterator[Served]:
    """A key server of the test's own."""
    with key_server(key_set(published(KEY_ID))) as server:
        yield server


@pytest.fixture(scope="module")
def steady() -> Iterator[Served]:
    """A key server whose keys nobody changes."""
    with key_server(key_set(published(KEY_ID))) as server:
        yield server


@pytest.fixture(scope="module")
def service(steady: Served) -> Iterator[httpx.Client]:
    """A service that gets its keys from the steady server."""
    with running(create_app(jwt_config(KeyServer(steady.url, 300)))) as client:
        yield client
