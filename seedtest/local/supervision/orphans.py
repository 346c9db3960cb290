"""Processes that a killed supervisord has left behind."""

import contextlib
import signal

import psutil

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.postgres.placement import data_folder
from seedtest.local.postgres.postmaster import find_postmaster
from seedtest.local.supervision.processes import MARKER, marked_processes, stop_processes
from seedtest.say import Say

_PATIENCE_SECS = 10.0
_POSTGRES_PATIENCE_SECS = 60.0


def stop_orphans(folder: StackFolder, say: Say) -> bool:
    """Stop what still runs of this home's stack, in order; return whether there was anything.

    Flow runs and the worker report their end to the server; everything uses PostgreSQL.
    """
    postmaster = find_postmaster(data_folder(folder))
    others = [process for process in marked_processes(folder.home) if process != postmaster]
    if not others and postmaster is None:
        return False
    if postmaster is not None:
        _refuse_foreign(postmaster, folder)
    pids = ", ".join(str(process.pid) for process in [*others, *filter(None, [postmaster])])
    say(f"Stopping processes that a killed stack of {folder.home} has left behind (pid {pids})")
    servers = [process for process in others if _is_prefects("server", process)]
    # Of no use and nothing to save: a worker whose output nobody reads does not end when asked to.
    workers = [process for process in others if _is_prefects("worker", process)]
    runs = [process for process in others if process not in servers and process not in workers]
    stop_processes(runs, patience_secs=_PATIENCE_SECS)
    stop_processes(workers, first=signal.SIGKILL, patience_secs=_PATIENCE_SECS)
    stop_processes(servers, patience_secs=_PATIENCE_SECS)
    if postmaster is not None:
        stop_processes([postmaster], first=signal.SIGINT, patience_secs=_POSTGRES_PATIENCE_SECS)
    return True


def _is_prefects(part: str, process: psutil.Process) -> bool:
    """Whether this is Prefect's server or worker, by its command line."""
    with contextlib.suppress(psutil.Error):
        return ["prefect", part] == process.cmdline()[2:4]
    return False


def _refuse_foreign(postmaster: psutil.Process, folder: StackFolder) -> None:
    """Raise StackError when the server of our data is run by another, living stack."""
    with contextlib.suppress(psutil.Error):
        parent = postmaster.parent()
        owner = parent.environ().get(MARKER) if parent else None
        if owner is not None and owner != str(folder.home):
            raise StackError(
                f"The data in {data_folder(folder)} are in use by the stack of {owner} "
                f"(pid {postmaster.pid}): {folder.home} looks like a copy of it. Remove "
                f"{folder.postgres} from the copy, or name another folder in SEEDTEST_HOME."
            )
