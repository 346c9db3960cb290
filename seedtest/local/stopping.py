"""Stopping the embedded stack, and deleting it."""

import logging
import shutil

import psutil

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.lock import stack_lock
from seedtest.local.orphans import stop_orphans
from seedtest.local.placement import remove_data, remove_sockets
from seedtest.local.say import Say
from seedtest.local.supervisor import Supervisor
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

_SHUTDOWN_PATIENCE_SECS = 150.0


def down(settings: Settings, *, say: Say = logger.info) -> None:
    """Stop the stack, the worker first and PostgreSQL last; a stack that does not run is fine."""
    folder = StackFolder(settings.home)
    if not folder.run.is_dir():
        say(f"There is no stack in {folder.home}: nothing to stop")
        return
    with stack_lock(folder, say):
        if shut_down(folder, say):
            say(f"The stack in {folder.home} is stopped; its data are kept")
        else:
            say(f"The stack in {folder.home} was not running")


def shut_down(folder: StackFolder, say: Say) -> bool:
    """Stop supervisord and everything it started; return whether there was anything."""
    supervisor = Supervisor(folder)
    running = supervisor.answers()
    if running:
        say("Stopping the stack")
        try:
            supervisor.shutdown(patience_secs=_SHUTDOWN_PATIENCE_SECS)
        except psutil.TimeoutExpired as error:
            raise StackError(
                f"supervisord (pid {error.pid}) has not stopped within {error.seconds:.0f} s. "
                f"Its log is {folder.log('supervisord')}; run `seedtest down` again."
            ) from error
    return stop_orphans(folder, say) or running


def clean(settings: Settings, *, say: Say = logger.info) -> None:
    """Stop the stack and delete everything that it has made, its data included."""
    folder = StackFolder(settings.home)
    down(settings, say=say)
    if not folder.home.is_dir():
        return
    remove_sockets(folder)
    remove_data(folder)
    for own in (folder.prefect, folder.results, folder.logs, folder.run):
        if own.is_dir():
            shutil.rmtree(own)
