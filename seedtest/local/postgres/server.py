"""An embedded PostgreSQL: initialised, started and stopped below a stack's folder, without root or apt.

It listens on a Unix socket only, in a folder that only its user may enter; hence `--auth=trust`.
"""

import contextlib
import shlex
import signal
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil
import psycopg2
from psycopg2 import errors as pg_errors
from psycopg2 import sql

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.postgres.account import Account, server_account
from seedtest.local.postgres.binaries import Binaries, binaries_for
from seedtest.local.postgres.cluster import create_cluster, require_version
from seedtest.local.postgres.placement import (
    data_folder,
    place_data,
    place_sockets,
    remove_data,
    remove_sockets,
    socket_folder,
)
from seedtest.local.postgres.postmaster import clear_stale_locks, find_postmaster
from seedtest.local.supervision.logs import tail
from seedtest.local.supervision.processes import stop_processes
from seedtest.say import Say, silent

SUPERUSER = "postgres"
DATABASE = "seedtest"
_PORT = 5432
_START_PATIENCE_SECS = 120
_STOP_PATIENCE_SECS = 60.0
# For tests: a crash of the machine may lose their data, which nobody would miss.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """The PostgreSQL of one home; a context manager that starts and stops it."""

    def __init__(self, home: Path, *, durable: bool = True, say: Say = silent) -> None:
        self.folder = StackFolder(home.expanduser().resolve())
        self._durable = durable
        self._say = say

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """Where the server's messages go."""
        return self.folder.log("postgres")

    def prepare(self) -> "PreparedPostgres":
        """Make everything that a start needs: folders, user, data; what exists is kept."""
        self.folder.create()
        account = server_account()
        binaries = binaries_for(account)
        data = place_data(self.folder, account, self._say)
        if data.exists():
            require_version(data, account)
        else:
            create_cluster(binaries, account, data, durable=self._durable)
        sockets = place_sockets(self.folder, account) / "postgres"
        if self.process() is None:
            clear_stale_locks(data, sockets)
        return PreparedPostgres(account, binaries, data, sockets, durable=self._durable)

    def start(self) -> None:
        """Start the server unless it runs, wait until it answers, and create its database if missing."""
        prepared = self.prepare()
        if self.process() is None:
            self._launch(prepared)
        self.ensure_database()

    def _launch(self, prepared: "PreparedPostgres") -> None:
        """Start the server in a session of its own and wait until it answers."""
        with self.log.open("ab") as log:
            started = prepared.account.run(prepared.start_command(), output=log)
        if started.returncode != 0:
            raise StackError(f"PostgreSQL did not start; its data are untouched.{tail(self.log)}")

    def stop(self) -> None:
        """Stop the server if it runs; sessions are disconnected, nothing is lost."""
        process = self.process()
        if process is not None:
            stop_processes([process], first=signal.SIGINT, patience_secs=_STOP_PATIENCE_SECS)

    def remove(self) -> None:
        """Stop the server and delete its data, wherever they lie."""
        self.stop()
        remove_data(self.folder)
        remove_sockets(self.folder)

    def process(self) -> psutil.Process | None:
        """Return the running server of this home's data, if any."""
        return find_postmaster(data_folder(self.folder))

    def is_ready(self) -> bool:
        """Whether the server takes connections."""
        try:
            with contextlib.closing(self._connect(SUPERUSER)):
                return True
        except psycopg2.OperationalError:
            return False

    def ensure_database(self, name: str = DATABASE) -> None:
        """Create a database unless it exists."""
        with contextlib.closing(self._connect(SUPERUSER)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor, contextlib.suppress(pg_errors.DuplicateDatabase):
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def url(self, database: str = DATABASE) -> str:
        """Return SQLAlchemy's address of a database; without `+psycopg2` it is libpq's."""
        host = quote(str(self.sockets))
        return f"postgresql+psycopg2://{SUPERUSER}@/{quote(database)}?host={host}&port={_PORT}"

    @property
    def sockets(self) -> Path:
        """Folder of the server's socket."""
        return socket_folder(self.folder) / "postgres"

    def _connect(self, database: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host=str(self.sockets), port=_PORT, user=SUPERUSER, dbname=database, connect_timeout=5
        )


@dataclass(frozen=True)
class PreparedPostgres:
    """A server that can be started: programs, data and socket folder exist."""

    account: Account
    binaries: Binaries
    data: Path
    sockets: Path
    durable: bool

    def command(self) -> list[str]:
        """Return the command line of the server in the foreground."""
        return [str(self.binaries.program("postgres")), "-D", str(self.data), *self._options()]

    def start_command(self) -> list[str]:
        """Return the command line that starts the server in the background and waits for it."""
        options = ["-o", shlex.join(self._options()), "-t", str(_START_PATIENCE_SECS)]
        return [str(self.binaries.program("pg_ctl")), "-D", str(self.data), *options, "-w", "-s", "start"]

    def _options(self) -> list[str]:
        """Return the settings, which belong to the release rather than to the data."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.sockets}"',
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            settings |= _NOT_DURABLE
        return ["-p", str(_PORT), *(f"--{name}={value}" for name, value in settings.items())]

    @property
    def version(self) -> str:
        """Return the server's full version, such as 18.4."""
        return self.account.run([str(self.binaries.program("postgres")), "--version"]).stdout.split()[-1]
