"""Processes that a killed supervisord has left behind."""

import signal

from seedtest.local.folder import StackFolder
from seedtest.local.placement import data_folder
from seedtest.local.postmaster import find_postmaster
from seedtest.local.processes import marked_processes, stop_processes
from seedtest.local.say import Say

_PATIENCE_SECS = 15.0
_POSTGRES_PATIENCE_SECS = 60.0


def stop_orphans(folder: StackFolder, say: Say) -> bool:
    """Stop what still runs of this home's stack, PostgreSQL last; return whether there was anything."""
    postmaster = find_postmaster(data_folder(folder))
    others = [process for process in marked_processes(folder.home) if process != postmaster]
    if not others and postmaster is None:
        return False
    pids = ", ".join(str(process.pid) for process in [*others, *filter(None, [postmaster])])
    say(f"Stopping processes that a killed stack of {folder.home} has left behind (pid {pids})")
    stop_processes(others, patience_secs=_PATIENCE_SECS)
    if postmaster is not None:
        stop_processes([postmaster], first=signal.SIGINT, patience_secs=_POSTGRES_PATIENCE_SECS)
    return True
