"""The Prefect server that is deployed to, and the guard against taking one environment's for another's."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings

from deploy.differences import Change
from deploy.environment import Environment
from seedtest.errors import ConfigurationError
from seedtest.local.addresses import prefect_api_url
from seedtest.settings import load_settings

VARIABLE = "seedtest_environment"

# Its line a request would bury the changes.
logging.getLogger("httpx").setLevel(logging.WARNING)


def api_url_of(environment: Environment, given: str | None) -> str:
    """Return the address of the API: the one given, the environment's, else as the command line finds it."""
    return given or environment.prefect_api_url or prefect_api_url(load_settings())


@contextmanager
def connected(api_url: str) -> Iterator[SyncPrefectClient]:
    """Give a client of the server; ConfigurationError when it does not answer."""
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        try:
            client.hello().raise_for_status()
        except httpx.HTTPError as error:
            raise ConfigurationError(
                f"The Prefect server at {api_url} does not answer as it should: "
                f"{error or type(error).__name__}. Forward its port first (the first line of the "
                "environment's file says how), or name its address: API_URL=…"
            ) from error
        try:
            yield client
        except (PrefectHTTPStatusError, httpx.TransportError) as error:
            raise ConfigurationError(
                f"The Prefect server at {api_url} did not do what it was asked: {error}. What was done so "
                "far stays; look at the server's log, and deploy again."
            ) from error


def claim(environment: Environment, client: SyncPrefectClient, *, dry_run: bool) -> tuple[Change, ...]:
    """Refuse a server that another environment has been deployed to; mark one that none has."""
    variable = client.read_variable_by_name(VARIABLE)
    if variable is None:
        if not dry_run:
            client.create_variable(VariableCreate(name=VARIABLE, value=environment.name))
        return (Change("Prefect server", f"marked as the one of {environment.name}"),)
    if variable.value != environment.name:
        raise ConfigurationError(
            f"The Prefect server at {client.api_url} is the one of {variable.value}, not of "
            f"{environment.name}: its variable {VARIABLE} says so. Look which port is forwarded; if the "
            f"server has really moved, delete the variable: prefect variable delete {VARIABLE}"
        )
    return ()


def release(client: SyncPrefectClient, *, dry_run: bool) -> tuple[Change, ...]:
    """Take the mark away again."""
    if client.read_variable_by_name(VARIABLE) is None:
        return ()
    if not dry_run:
        client.delete_variable_by_name(VARIABLE)
    return (Change("Prefect server", "no longer marked"),)
