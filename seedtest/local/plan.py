"""What a stack consists of under the settings given: its programs, environment and addresses."""

import hashlib
import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from seedtest.local.environment import stack_variables, with_inherited
from seedtest.local.folder import StackFolder
from seedtest.local.placement import place_sockets
from seedtest.local.account import server_account
from seedtest.local.ports import HOST
from seedtest.local.postgres import EmbeddedPostgres, PreparedPostgres
from seedtest.local.programs import POSTGRES, SERVER, WORKER, Program, configuration
from seedtest.settings import Settings

POOL = "seedtest-local"
POOL_TYPE = "process"
# Settings that the configuration shows, in whatever way they were written.
_SHOWN_ELSEWHERE = {"seedtest_home", "seedtest_prefect_port", "database_url", "prefect_api_url"}


@dataclass(frozen=True)
class Plan:
    """A stack that can be launched."""

    folder: StackFolder
    # None: DATABASE_URL names another database.
    postgres: EmbeddedPostgres | None
    # None: PREFECT_API_URL names another server.
    port: int | None
    database_url: str
    prefect_api_url: str
    configuration: str
    variables: Mapping[str, str]
    fingerprint: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the stack's processes."""
        return with_inherited(self.variables, own_server=self.port is not None)


@dataclass(frozen=True)
class External:
    """Addresses of servers that are not the stack's own; None: the stack has its own."""

    database_url: str | None
    prefect_api_url: str | None


def make_plan(
    settings: Settings, folder: StackFolder, external: External, postgres: EmbeddedPostgres, *, 
    port: int, project: Path
) -> Plan:
    """Prepare the folders and PostgreSQL's data, and return what is to be launched."""
    prepared = postgres.prepare() if external.database_url is None else None
    sockets = place_sockets(folder, server_account())
    database_url = external.database_url or postgres.url()
    prefect_api_url = external.prefect_api_url or f"http://{HOST}:{port}/api"
    own_port = None if external.prefect_api_url else port
    programs = _programs(folder, prepared, own_port, project)
    text = configuration(folder, sockets, programs)
    variables = stack_variables(folder, prefect_api_url=prefect_api_url, database_url=database_url)
    return Plan(
        folder=folder,
        postgres=postgres if prepared else None,
        port=own_port,
        database_url=database_url,
        prefect_api_url=prefect_api_url,
        configuration=text,
        variables=variables,
        fingerprint=_fingerprint(text, variables, settings),
    )
