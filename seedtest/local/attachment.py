"""Staying with a running stack in the foreground, and stopping it when asked to."""

import http.client
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.stopping import down
from seedtest.local.supervision.control import ProcessInfo, Supervisor
from seedtest.local.supervision.logs import NewLines, tail
from seedtest.local.supervision.programs import WORKER
from seedtest.say import Say
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

_LOOK_SECS = 0.5


def attach(settings: Settings, *, say: Say = logger.info) -> None:
    """Say what happens in the stack until Ctrl-C or SIGTERM, then stop it.

    Returns as well when another command has stopped it; StackError when supervisord was killed.
    """
    folder = StackFolder(settings.home)
    with _stop_signals() as stop:
        stopped_elsewhere = not _watch(folder, stop, say)
    if stopped_elsewhere:
        _tell_of_end(folder, say)
    else:
        down(settings, say=say)


def _watch(folder: StackFolder, stop: threading.Event, say: Say) -> bool:
    """Say log lines and changes; return whether we were asked to stop, rather than found no stack."""
    supervisor = Supervisor(folder)
    lines = NewLines(folder.log(WORKER))
    known = {process.name: process for process in supervisor.processes()}
    say("Ctrl-C stops the stack")
    while not stop.wait(_LOOK_SECS):
        try:
            processes = supervisor.processes()
        except (OSError, http.client.HTTPException):
            return False
        for process in processes:
            _tell_change(folder, known[process.name], process, say)
            known[process.name] = process
        for line in lines.read():
            say(line)
    return True


def _tell_change(folder: StackFolder, before: ProcessInfo, now: ProcessInfo, say: Say) -> None:
    """Say that a process has been restarted, or will not be any more."""
    if now.runs and now.pid != before.pid:
        say(f"{now.name} had ended and was started again (pid {now.pid})")
    if now.given_up and not before.given_up:
        say(
            f"{now.name} keeps ending; `seedtest up` in another terminal tries it again."
            f"{tail(folder.log(now.name))}"
        )


def _tell_of_end(folder: StackFolder, say: Say) -> None:
    """Tell an orderly stop by another command from a killed supervisord."""
    if folder.supervisor_pid_file.exists():
        raise StackError(
            f"supervisord of {folder.home} was killed. No data are lost; `seedtest up` starts the stack "
            "again, `seedtest down` stops what is left of it."
        )
    say("The stack was stopped by another command")


@contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGTERM and a closed terminal end what is going on as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handling((signal.SIGTERM, signal.SIGHUP), interrupt):
        yield


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Turn the signals that end a foreground command into an event."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    with _handling((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), ask):
        yield stop


@contextmanager
def _handling(
    numbers: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handle signals so as long as the context lasts."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
