"""Finding the server of a data folder, and clearing lock files that lie about one.

A pid in a lock file proves nothing after a crash or a reboot: it may be anybody's by now.
A server and all its children have the data folder as working folder; that is the proof.
"""

from collections.abc import Iterator
from pathlib import Path

import psutil

from seedtest.local.supervision.processes import is_alive, wait_until_gone

_LOCK_FILE = "postmaster.pid"
_SOCKET_LOCK_FILE = ".s.PGSQL.5432.lock"
_BACKENDS_PATIENCE_SECS = 30.0


def find_postmaster(data: Path) -> psutil.Process | None:
    """Return the running server of the data folder, or None."""
    pid = _pid_in(data / _LOCK_FILE)
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    return process if _works_on(process, data) else None


def clear_stale_locks(data: Path, sockets: Path) -> None:
    """Remove lock files whose server is gone; PostgreSQL would believe a pid that was given anew.

    Children may outlive a killed server for a moment: they are waited for, as the lock protects
    the data from a second server beside them.
    """
    if find_postmaster(data) is None and not wait_until_gone(_backends(data), _BACKENDS_PATIENCE_SECS):
        (data / _LOCK_FILE).unlink(missing_ok=True)
        (sockets / _SOCKET_LOCK_FILE).unlink(missing_ok=True)


def _backends(data: Path) -> Iterator[psutil.Process]:
    """Yield every process of a server that works in the data folder."""
    for process in psutil.process_iter():
        if _works_on(process, data):
            yield process


def _works_on(process: psutil.Process, data: Path) -> bool:
    """Whether a process is PostgreSQL's and has the data folder as working folder."""
    try:
        return process.name() == "postgres" and Path(process.cwd()) == data and is_alive(process)
    except (psutil.Error, OSError):
        return False


def _pid_in(file: Path) -> int | None:
    """Return the pid in the first line of a lock file, if there is one."""
    try:
        first = file.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return int(first) if first.isdecimal() and int(first) > 0 else None
