"""Which ports the stack's servers get, and which of them are external."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from seedtest.local.addresses import External
from seedtest.local.ports import (
    OBJECT_STORE,
    PREFECT,
    REPORTS,
    THETA_API,
    chosen_port,
    require_free,
)
from seedtest.local.servers import PrefectServer, Servers, StoreServers
from seedtest.settings import Settings


@contextmanager
def chosen_servers(settings: Settings, external: External, last: Servers | None) -> Iterator[Servers]:
    """Give every server of our own a port, the one it had last if that is free."""
    fixed = settings.seedtest_prefect_port
    store = last.store if last else None
    with ExitStack() as held:
        if external.prefect_api_url is not None:
            prefect = PrefectServer(external.prefect_api_url)
        else:
            remembered = last.prefect.port if last else None
            prefect = PrefectServer.on(held.enter_context(chosen_port(PREFECT, fixed, remembered)))
        api_port = held.enter_context(chosen_port(THETA_API, None, last.api_port if last else None))
        if external.s3_endpoint_url is None:
            port = held.enter_context(chosen_port(OBJECT_STORE, None, store.port if store else None))
            links = held.enter_context(chosen_port(REPORTS, None, store.links_port if store else None))
            store = StoreServers(port, links)
        else:
            store = None
        yield Servers(prefect, api_port, store)


def wanted_servers(settings: Settings, external: External, running: Servers) -> Servers | None:
    """Return what should be running instead of `running`; None if it needs ports that none has yet.

    Raises
    ------
    StackError
        The port asked for is somebody else's: better said before what runs is stopped.
    """
    fixed = settings.seedtest_prefect_port
    if external.prefect_api_url is not None:
        prefect = PrefectServer(external.prefect_api_url)
    elif fixed is not None and fixed != running.prefect.port:
        require_free(PREFECT, fixed)
        prefect = PrefectServer.on(fixed)
    elif running.prefect.is_own:
        prefect = running.prefect
    else:
        return None
    if external.s3_endpoint_url is None and running.store is None:
        return None
    store = running.store if external.s3_endpoint_url is None else None
    return Servers(prefect, running.api_port, store)
