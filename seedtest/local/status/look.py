"""What runs, where, in which versions, with how much data and which last runs; also when nothing runs."""

import importlib.metadata
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from seedtest.db.engine import create_engine, normalise_url
from seedtest.errors import StackError
from seedtest.local.addresses import database_url, prefect_api_url
from seedtest.local.folder import StackFolder
from seedtest.local.postgres.placement import data_folder
from seedtest.local.status.services import ServiceStatus, services
from seedtest.local.supervision.control import Supervisor
from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.models import FlowRun
from seedtest.settings import Settings

_N_RUNS = 10
_PATIENCE_SECS = 3.0
_COUNT_TIMEOUT_SECS = 30


@dataclass(frozen=True)
class ProcessStatus:
    """One process of the stack."""

    name: str
    state: str
    pid: int | None
    uptime: timedelta | None
    log: Path


@dataclass(frozen=True)
class TableRows:
    """How many rows a table has."""

    table: str
    n_rows: int


@dataclass(frozen=True)
class RunStatus:
    """One of the last flow runs."""

    flow: str
    name: str
    state: str
    start: datetime | None
    duration: timedelta


@dataclass(frozen=True)
class DatabaseStatus:
    """The database, without its password; rows only when it answers."""

    address: str | None = None
    version: str | None = None
    tables: tuple[TableRows, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class PrefectStatus:
    """The Prefect server; runs only when it answers."""

    api_url: str | None = None
    ui_url: str | None = None
    version: str | None = None
    runs: tuple[RunStatus, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class StackStatus:
    """Everything `seedtest status` shows."""

    home: Path
    seedtest_version: str
    processes: tuple[ProcessStatus, ...]
    data_folder: Path
    data_bytes: int
    database: DatabaseStatus = field(default_factory=DatabaseStatus)
    prefect: PrefectStatus = field(default_factory=PrefectStatus)
    services: tuple[ServiceStatus, ...] = ()

    @property
    def running(self) -> bool:
        """Whether every process of the embedded stack runs."""
        return bool(self.processes) and all(process.state == "RUNNING" for process in self.processes)


def status(settings: Settings) -> StackStatus:
    """Look at everything; what does not answer is described, never raised."""
    folder = StackFolder(settings.home)
    processes = tuple(_processes(folder))
    return StackStatus(
        home=folder.home,
        seedtest_version=importlib.metadata.version("seedtest-analytics"),
        processes=processes,
        data_folder=data_folder(folder),
        data_bytes=sum(_sizes(folder.home)) + _outside_bytes(folder),
        database=_database(settings),
        prefect=_prefect(settings),
        services=tuple(services(folder)) if processes else (),
    )


def _processes(folder: StackFolder) -> Iterator[ProcessStatus]:
    supervisor = Supervisor(folder)
    if not supervisor.answers():
        return
    for info in supervisor.processes():
        # STARTING is supervisord's word for a process that has not yet run for some seconds.
        state = "RUNNING" if info.statename == "STARTING" else info.statename
        yield ProcessStatus(info.name, state, info.pid or None, info.uptime, folder.log(info.name))


def _database(settings: Settings) -> DatabaseStatus:
    try:
        url = database_url(settings)
    except StackError as error:
        return DatabaseStatus(problem=str(error))
    address = url if settings.database_url is None else normalise_url(url).render_as_string()
    engine = create_engine(
        url, application_name="seedtest status", statement_timeout_secs=_COUNT_TIMEOUT_SECS
    )
    try:
        with engine.connect() as connection:
            version = connection.scalar(sa.text("SHOW server_version"))
            return DatabaseStatus(address, str(version), tuple(_tables(connection)))
    except OperationalError as error:
        return DatabaseStatus(address, problem=str(error.orig).strip())
    finally:
        engine.dispose()


def _tables(connection: sa.Connection) -> Iterator[TableRows]:
    """Yield the rows of every table, counted."""
    for name in sorted(sa.inspect(connection).get_table_names()):
        if name != "alembic_version":
            count = sa.select(sa.func.count()).select_from(sa.table(name))
            yield TableRows(name, connection.execute(count).scalar_one())


def _prefect(settings: Settings) -> PrefectStatus:
    try:
        url = prefect_api_url(settings)
    except StackError as error:
        return PrefectStatus(problem=str(error))
    with PrefectApi(url, patience_secs=_PATIENCE_SECS) as api:
        try:
            last = api.last_runs(_N_RUNS)
            flows = api.flow_names([run.flow_id for run in last])
            runs = tuple(_run(run, flows[run.flow_id]) for run in last)
            return PrefectStatus(api.url, api.ui_url, api.version(), runs)
        except StackError as error:
            return PrefectStatus(api.url, api.ui_url, problem=str(error))


def _run(run: FlowRun, flow: str) -> RunStatus:
    return RunStatus(
        flow=flow,
        name=run.name,
        state=run.state.name if run.state else "unknown",
        start=run.start_time,
        duration=timedelta(seconds=run.total_run_time),
    )


def _outside_bytes(folder: StackFolder) -> int:
    """Return the size of data that lie outside of home."""
    return sum(_sizes(data_folder(folder))) if folder.postgres.is_symlink() else 0


def _sizes(top: Path) -> Iterator[int]:
    """Yield the sizes of the files below a folder; files come and go while we look."""
    for folder, _, files in os.walk(top):
        for name in files:
            file = Path(folder) / name
            if file.exists() and not file.is_symlink():
                yield file.stat().st_size
