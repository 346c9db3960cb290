"""The stack's own servers beside Prefect's and PostgreSQL: where they are, and whether they can work."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.state import load_state

_PATIENCE_SECS = 5.0
SILENT = "does not answer"


@dataclass(frozen=True)
class ServiceStatus:
    """One server, as whoever calls it finds it."""

    name: str
    address: str
    # "ready", or what is wrong.
    health: str


def services(folder: StackFolder) -> Iterator[ServiceStatus]:
    """Yield the servers of the stack that was started last, each asked how it is."""
    try:
        state = load_state(folder)
    except StackError:
        # The database's status says what is wrong with the file.
        return
    if state is None:
        return
    servers = state.servers
    with httpx.Client(timeout=_PATIENCE_SECS, trust_env=False) as client:
        api = servers.theta_api_url
        yield ServiceStatus("θ API", api, _readiness(client, api))
        if servers.store is not None:
            for name, url in (("Object store", servers.store.url), ("Reports", servers.store.links_url)):
                yield ServiceStatus(name, url, _answers(client, url))


def _readiness(client: httpx.Client, url: str) -> str:
    """Return what the API says of itself and of the parts that it lacks."""
    try:
        said = client.get(f"{url}/readyz").json()
        wrong = [f"{name}: {check['detail']}" for name, check in said["checks"].items() if not check["ok"]]
        return "; ".join([str(said["status"]), *wrong])
    except (httpx.HTTPError, ValueError, KeyError):
        return SILENT


def _answers(client: httpx.Client, url: str) -> str:
    """Return whether there is any answer: what is asked for without a key is refused."""
    try:
        client.get(url)
    except httpx.HTTPError:
        return SILENT
    return "ready"
