"""What a stack consists of under the settings given: its programs, environment and addresses."""

import hashlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from seedtest.local.addresses import own_prefect_api_url
from seedtest.local.environment import stack_variables, with_inherited
from seedtest.local.folder import StackFolder
from seedtest.local.ports import HOST
from seedtest.local.postgres.account import current_account
from seedtest.local.postgres.placement import place_sockets
from seedtest.local.postgres.server import EmbeddedPostgres, PreparedPostgres
from seedtest.local.supervision.programs import POSTGRES, SERVER, WORKER, Program, configuration
from seedtest.say import Say
from seedtest.settings import Settings

POOL = "seedtest-local"
POOL_TYPE = "process"
# Parts of the configuration already, however they were written.
_SHOWN_ELSEWHERE = {"seedtest_home", "seedtest_prefect_port", "database_url", "prefect_api_url"}


@dataclass(frozen=True)
class PrefectServer:
    """The server that the stack's flows run on."""

    api_url: str
    # Of our own server; None: PREFECT_API_URL names another one.
    port: int | None = None

    @classmethod
    def on(cls, port: int) -> Self:
        """Return our own server on a port."""
        return cls(own_prefect_api_url(port), port)

    @property
    def is_own(self) -> bool:
        """Whether the stack runs it."""
        return self.port is not None


@dataclass(frozen=True)
class Plan:
    """A stack that can be launched: its folders and PostgreSQL's data exist."""

    folder: StackFolder
    # None: DATABASE_URL names another database.
    postgres: EmbeddedPostgres | None
    postgres_version: str | None
    server: PrefectServer
    database_url: str
    configuration: str
    environment: Mapping[str, str]
    # For temporary files of the processes; emptied before they start.
    temporary: Path
    # Digest of everything the processes are started with.
    fingerprint: str
    project: Path


def make_plan(
    settings: Settings, external_database_url: str | None, server: PrefectServer, *, project: Path, say: Say
) -> Plan:
    """Prepare what the stack needs on disk, and return what is to be launched."""
    folder = StackFolder(settings.home)
    postgres = EmbeddedPostgres(folder.home, say=say) if external_database_url is None else None
    prepared = postgres.prepare() if postgres else None
    sockets = prepared.sockets.parent if prepared else place_sockets(folder, current_account())
    database_url = external_database_url or EmbeddedPostgres(folder.home).url()
    # Sockets are made in temporary folders too, so this one must have a short path as well.
    temporary = sockets / "tmp"
    variables = stack_variables(folder, temporary, prefect_api_url=server.api_url, database_url=database_url)
    text = configuration(folder, sockets, _programs(folder, prepared, server.port, project))
    return Plan(
        folder=folder,
        postgres=postgres,
        postgres_version=prepared.version if prepared else None,
        server=server,
        database_url=database_url,
        configuration=text,
        environment=with_inherited(variables, own_server=server.is_own),
        temporary=temporary,
        fingerprint=_fingerprint(text, variables, settings),
        project=project,
    )


def _programs(
    folder: StackFolder, prepared: PreparedPostgres | None, port: int | None, project: Path
) -> tuple[Program, ...]:
    """Return the programs of the stack; servers named in the environment are not among them."""
    programs = [_worker(project)]
    if prepared is not None:
        programs.append(_postgres(prepared))
    if port is not None:
        programs.append(_server(folder, port))
    return tuple(programs)


def _postgres(prepared: PreparedPostgres) -> Program:
    return Program(
        name=POSTGRES,
        command=tuple(prepared.command()),
        priority=10,
        autostart=True,
        # Fast shutdown: sessions are disconnected, a checkpoint is written.
        stop_signal="INT",
        stop_patience_secs=60,
        start_secs=1,
        user=None if prepared.account.is_self else prepared.account.name,
    )


def _server(folder: StackFolder, port: int) -> Program:
    return Program(
        name=SERVER,
        command=(*_mended_prefect(), "server", "start", "--host", HOST, "--port", str(port)),
        priority=20,
        autostart=True,
        stop_signal="TERM",
        stop_patience_secs=15,
        # It takes seconds until it finds that its port or its database cannot be used.
        start_secs=10,
        directory=folder.prefect,
    )


def _worker(project: Path) -> Program:
    name = f"{POOL} on {platform.node()}"
    options = ("--pool", POOL, "--type", POOL_TYPE, "--name", name, "--install-policy", "never")
    return Program(
        name=WORKER,
        command=(*_prefect(), "worker", "start", *options),
        priority=30,
        # Started by `up` once the server answers.
        autostart=False,
        stop_signal="TERM",
        stop_patience_secs=30,
        start_secs=5,
        directory=project,
    )


def _prefect() -> tuple[str, ...]:
    return (sys.executable, "-m", "prefect")


def _mended_prefect() -> tuple[str, ...]:
    """Prefect whose server makes runs from schedules (docs/decisions/0007)."""
    return (sys.executable, "-m", "deploy.prefect_server")


def _fingerprint(text: str, variables: Mapping[str, str], settings: Settings) -> str:
    """Return a digest that changes when running processes are no longer what the settings ask for."""
    plain = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings
        if name not in _SHOWN_ELSEWHERE
    }
    prefect = importlib.metadata.version("prefect")
    parts = [text, dict(variables), plain, prefect]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
