"""Where the servers are that the stack works with: named in the environment, or its own."""

from dataclasses import dataclass

from seedtest.errors import StackNotRunningError
from seedtest.local.folder import StackFolder
from seedtest.local.ports import is_free
from seedtest.local.postgres.placement import data_folder
from seedtest.local.postgres.postmaster import find_postmaster
from seedtest.local.state import StackState, load_state
from seedtest.settings import Settings


@dataclass(frozen=True)
class External:
    """Addresses of servers that are not the stack's own; None: the stack has its own."""

    database_url: str | None
    prefect_api_url: str | None
    s3_endpoint_url: str | None


def external_addresses(settings: Settings, state: StackState | None) -> External:
    """Return which of the addresses set are somebody else's.

    People export what `up` prints; an address of this stack's own servers is not external.
    """
    database_url = settings.database_url.get_secret_value() if settings.database_url else None
    if state is None:
        return External(database_url, settings.prefect_api_url, settings.s3_endpoint_url)
    prefect, store = state.servers.prefect, state.servers.store
    return External(
        _unless_own(database_url, state.database_url),
        _unless_own(settings.prefect_api_url, prefect.api_url if prefect.is_own else None),
        _unless_own(settings.s3_endpoint_url, store.url if store else None),
    )


def _unless_own(url: str | None, own: str | None) -> str | None:
    return None if url is not None and own is not None and url.rstrip("/") == own.rstrip("/") else url


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
    if state is None or state.servers.prefect.port is None or is_free(state.servers.prefect.port):
        raise StackNotRunningError(
            f"No Prefect server is running in {folder.home}, and PREFECT_API_URL names none. "
            "Start the embedded stack with `seedtest up`, or set PREFECT_API_URL."
        )
    return state.prefect_api_url
