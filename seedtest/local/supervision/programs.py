"""What supervisord keeps alive, as its configuration file."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.postgres.account import current_account

POSTGRES = "postgres"
SERVER = "prefect-server"
OBJECT_STORE = "object-store"
REPORTS = "reports"
API = "api"
WORKER = "worker"
THETA_WORKER = "theta-worker"

# What supervisord would read as the start of a comment within a line.
_COMMENT = re.compile(r"[\n\r]|\s[;#]")
# Waiting a second longer each time: 10 s in all. A PostgreSQL that was killed leaves processes which hold its
# memory until they have written what they were writing; until then a new one does not start.
_START_RETRIES = 4
_RPC_FACTORY = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}


@dataclass(frozen=True)
class Program:
    """One process that supervisord keeps alive."""

    name: str
    command: tuple[str, ...]
    # Started from the lowest number up, stopped from the highest down.
    priority: int
    autostart: bool
    stop_signal: str
    stop_patience_secs: int
    # Ending earlier than this after its start counts as a failed start.
    start_secs: int
    user: str | None = None
    directory: Path = Path("/")


def configuration(folder: StackFolder, sockets: Path, programs: tuple[Program, ...]) -> str:
    """Return supervisord's configuration file for the programs."""
    account = current_account()
    sections = [
        _section("unix_http_server", file=sockets / "supervisor.sock", chmod="0700"),
        _section("rpcinterface:supervisor", **_RPC_FACTORY),
        _section(
            "supervisord",
            logfile=folder.log("supervisord"),
            logfile_maxbytes="5MB",
            logfile_backups=2,
            pidfile=folder.supervisor_pid_file,
            directory=folder.home,
            # Without it root's supervisord warns at every start.
            **({"user": account.name} if account.is_root else {}),
        ),
        *(_program_section(folder, program) for program in programs),
    ]
    return "\n".join(sections)


def _program_section(folder: StackFolder, program: Program) -> str:
    """Return the section that keeps one program alive and its log small."""
    values: dict[str, object] = {
        "command": shlex.join(program.command),
        "directory": program.directory,
        "priority": program.priority,
        "autostart": str(program.autostart).lower(),
        "autorestart": "true",
        "startsecs": program.start_secs,
        "startretries": _START_RETRIES,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_patience_secs,
        "redirect_stderr": "true",
        "stdout_logfile": folder.log(program.name),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }
    if program.user is not None:
        values["user"] = program.user
    return _section(f"program:{program.name}", **values)


def _section(name: str, **values: object) -> str:
    """Return one section of the file; a percent sign is doubled, as it starts an expansion."""
    lines = [f"[{name}]"]
    for key, value in values.items():
        text = str(value)
        if _COMMENT.search(text):
            raise StackError(
                f"The path or command {text!r} cannot be handed to supervisord: it has a line break, "
                "or a blank before ';' or '#'. Name another folder in SEEDTEST_HOME."
            )
        lines.append(f"{key}={text.replace('%', '%%')}")
    return "\n".join([*lines, ""])
