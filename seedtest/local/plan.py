"""What a stack consists of under the settings given: its programs, environment and addresses."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from seedtest.local import parts
from seedtest.local.addresses import External
from seedtest.local.environment import (
    stack_variables,
    store_variables,
    token_variables,
    with_inherited,
)
from seedtest.local.folder import StackFolder
from seedtest.local.object_store import ObjectStore, prepare_object_store
from seedtest.local.pools import WORKERS
from seedtest.local.postgres.account import current_account
from seedtest.local.postgres.placement import place_sockets
from seedtest.local.postgres.server import EmbeddedPostgres, PreparedPostgres
from seedtest.local.servers import Servers
from seedtest.local.supervision.programs import Program, configuration
from seedtest.say import Say
from seedtest.settings import Settings

# Parts of the configuration already, however they were written.
_SHOWN_ELSEWHERE = {
    "seedtest_home",
    "seedtest_prefect_port",
    "database_url",
    "prefect_api_url",
    "theta_api_url",
    "s3_endpoint_url",
    "report_link_base",
}


@dataclass(frozen=True)
class Plan:
    """A stack that can be launched: its folders and PostgreSQL's data exist."""

    folder: StackFolder
    # None: DATABASE_URL names another database.
    postgres: EmbeddedPostgres | None
    postgres_version: str | None
    servers: Servers
    database_url: str
    configuration: str
    environment: Mapping[str, str]
    # For temporary files of the processes; emptied before they start.
    temporary: Path
    # Digest of everything the processes are started with.
    fingerprint: str
    project: Path


def make_plan(settings: Settings, external: External, servers: Servers, *, project: Path, say: Say) -> Plan:
    """Prepare what the stack needs on disk, and return what is to be launched."""
    folder = StackFolder(settings.home)
    postgres = EmbeddedPostgres(folder.home, say=say) if external.database_url is None else None
    prepared = postgres.prepare() if postgres else None
    store = prepare_object_store(folder, settings.s3_bucket, servers.store) if servers.store else None
    sockets = prepared.sockets.parent if prepared else place_sockets(folder, current_account())
    database_url = external.database_url or EmbeddedPostgres(folder.home).url()
    # Sockets are made in temporary folders too, so this one must have a short path as well.
    temporary = sockets / "tmp"
    variables = stack_variables(folder, temporary, servers, database_url) | token_variables(settings)
    if store is not None:
        variables |= store_variables(store, settings)
    text = configuration(folder, sockets, tuple(_programs(settings, prepared, store, servers, project)))
    return Plan(
        folder=folder,
        postgres=postgres,
        postgres_version=prepared.version if prepared else None,
        servers=servers,
        database_url=database_url,
        configuration=text,
        environment=with_inherited(variables, own_server=servers.prefect.is_own, own_store=store is not None),
        temporary=temporary,
        fingerprint=_fingerprint(text, variables, settings),
        project=project,
    )


def _programs(
    settings: Settings,
    prepared: PreparedPostgres | None,
    store: ObjectStore | None,
    servers: Servers,
    project: Path,
) -> Iterator[Program]:
    """Yield the programs of the stack; servers named in the environment are not among them."""
    folder = StackFolder(settings.home)
    if prepared is not None:
        yield parts.postgres(prepared)
    if servers.prefect.port is not None:
        yield parts.prefect_server(folder, servers.prefect.port)
    if store is not None:
        yield from parts.object_store(store)
    yield parts.theta_api(servers.api_port, settings.api_timeout_secs)
    for name, pool in WORKERS.items():
        yield parts.worker(name, pool, project)


def _fingerprint(text: str, variables: Mapping[str, str], settings: Settings) -> str:
    """Return a digest that changes when running processes are no longer what the settings ask for."""
    plain = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings
        if name not in _SHOWN_ELSEWHERE
    }
    prefect = importlib.metadata.version("prefect")
    parts_of_it = [text, dict(variables), plain, prefect]
    return hashlib.sha256(json.dumps(parts_of_it, sort_keys=True, default=str).encode()).hexdigest()
