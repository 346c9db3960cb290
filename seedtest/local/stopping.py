"""Stopping the embedded stack, and deleting it."""

import logging
import shutil
from pathlib import Path

from seedtest.local.draining import close_stopped_runs, let_runs_finish
from seedtest.local.folder import StackFolder
from seedtest.local.lock import stack_lock
from seedtest.local.pools import WORKERS
from seedtest.local.postgres.placement import remove_data, remove_sockets
from seedtest.local.supervision.control import Supervisor
from seedtest.local.supervision.orphans import stop_orphans
from seedtest.say import Say
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

GRACE_SECS = 30.0


def down(settings: Settings, *, grace_secs: float = GRACE_SECS, say: Say = logger.info) -> None:
    """Stop the stack, the workers first and PostgreSQL last; a stack that does not run is fine.

    Flow runs that are going get `grace_secs` to end.
    """
    folder = StackFolder(settings.home)
    if not folder.run.is_dir():
        say(f"There is no stack in {folder.home}: nothing to stop")
        return
    with stack_lock(folder, say):
        if shut_down(folder, grace_secs=grace_secs, say=say):
            say(f"The stack in {folder.home} is stopped; its data are kept")
        else:
            say(f"The stack in {folder.home} was not running")


def shut_down(folder: StackFolder, *, grace_secs: float, say: Say) -> bool:
    """Stop supervisord and everything it started; return whether there was anything."""
    supervisor = Supervisor(folder)
    running = supervisor.answers()
    if running:
        going = let_runs_finish(folder, grace_secs=grace_secs, say=say)
        say("Stopping the stack")
        # Those that it has: a stack may have been started by another version.
        for process in supervisor.processes():
            if process.name in WORKERS:
                supervisor.stop(process.name)
        close_stopped_runs(going, say)
        supervisor.shutdown()
    return stop_orphans(folder, say) or running


def clean(settings: Settings, *, say: Say = logger.info) -> None:
    """Stop the stack and delete everything that it has made, its data included, wherever they lie.

    What others have put into home stays.
    """
    folder = StackFolder(settings.home)
    if not folder.home.is_dir():
        say(f"There is no stack in {folder.home}: nothing to delete")
        return
    down(settings, grace_secs=0, say=say)
    remove_sockets(folder)
    remove_data(folder)
    made = (folder.objects, folder.keys, folder.prefect, folder.results, folder.logs, folder.run)
    for own in filter(Path.is_dir, made):
        shutil.rmtree(own)
    left = sorted(path.name for path in folder.home.iterdir())
    if left:
        say(f"Deleted the stack in {folder.home}; left as they are: {', '.join(left)}")
    else:
        folder.home.rmdir()
        say(f"Deleted {folder.home}")
