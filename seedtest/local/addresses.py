"""Where the database and the Prefect server are: named in the environment, or the running stack's own."""

from dataclasses import dataclass

from seedtest.errors import StackNotRunningError
from seedtest.local.folder import StackFolder
from seedtest.local.ports import HOST, is_free
from seedtest.local.postgres.placement import data_folder
from seedtest.local.postgres.postmaster import find_postmaster
from seedtest.local.state import StackState, load_state
from seedtest.settings import Settings


@dataclass(frozen=True)
class External:
    """Addresses of servers that are not the stack's own; None: the stack has its own."""

    database_url: str | None
    prefect_api_url: str | None


def external_addresses(settings: Settings, state: StackState | None) -> External:
    """Return which of the addresses set are somebody else's.

    People export what `up` prints; an address of this stack's own servers is not external.
    """
    database_url = settings.database_url.get_secret_value() if settings.database_url else None
    prefect_api_url = settings.prefect_api_url
    if state is not None and state.prefect_port is not None and prefect_api_url is not None:
        own = prefect_api_url.rstrip("/") == own_prefect_api_url(state.prefect_port)
        prefect_api_url = None if own else prefect_api_url
    if state is not None and database_url == state.database_url:
        database_url = None
    return External(database_url, prefect_api_url)


def own_prefect_api_url(port: int) -> str:
    """Return the address of the embedded server's API."""
    return f"http://{HOST}:{port}/api"


def database_url(settings: Settings) -> str:
    """Return DATABASE_URL, else the address of the running embedded PostgreSQL."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    folder = StackFolder(settings.home)
    state = load_state(folder)
    if state is None or state.database_url is None or find_postmaster(data_folder(folder)) is None:
        raise StackNotRunningError(
            f"No database is running in {folder.home}, and DATABASE_URL names none. "
            "Start the embedded stack with `seedtest up`, or set DATABASE_URL."
        )
    return state.database_url


def prefect_api_url(settings: Settings) -> str:
    """Return PREFECT_API_URL, else the address of the running embedded server."""
    if settings.prefect_api_url is not None:
        return settings.prefect_api_url
    folder = StackFolder(settings.home)
    state = load_state(folder)
    if state is None or state.prefect_port is None or is_free(state.prefect_port):
        raise StackNotRunningError(
            f"No Prefect server is running in {folder.home}, and PREFECT_API_URL names none. "
            "Start the embedded stack with `seedtest up`, or set PREFECT_API_URL."
        )
    return state.prefect_api_url
