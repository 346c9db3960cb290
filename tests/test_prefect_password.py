"""A Prefect server that asks for a password: the core's own client sends it, as Prefect's does."""

from collections.abc import Iterator

import pytest

from seedtest.errors import StackError
from seedtest.prefect_client.api import PrefectApi
from tests.deploy.conftest import prefect_server

AUTH = "tests:a-password:with:colons"

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that wants AUTH."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"):
            patch.setenv(name, AUTH)
        with prefect_server(tmp_path_factory.mktemp("prefect")) as running:
            yield running


def test_the_password_of_the_environment_opens_the_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", AUTH)
    with PrefectApi(url, patience_secs=0) as api:
        assert api.deployments() == []


def test_a_wrong_password_is_refused_and_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "tests:a-wrong-one")
    with PrefectApi(url, patience_secs=0) as api, pytest.raises(StackError, match="answers 401") as refused:
        api.deployments()
    assert "a-wrong-one" not in str(refused.value)
