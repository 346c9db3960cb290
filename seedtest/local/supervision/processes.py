"""Processes of the operating system: which are ours, and stopping them."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

# Every process of a stack carries its home in this variable: the proof that it is this stack's.
MARKER = "SEEDTEST_STACK"

_KILL_PATIENCE_SECS = 10.0
_PAUSE_SECS = 0.02


def is_alive(process: psutil.Process) -> bool:
    """Whether the process still runs; a zombie that nobody has buried does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop_processes(
    processes: Iterable[psutil.Process], *, first: signal.Signals = signal.SIGTERM, patience_secs: float
) -> None:
    """Ask processes to end, and kill those that have not after the given time."""
    asked = [process for process in processes if _send(process, first)]
    stubborn = [
        process for process in wait_until_gone(asked, patience_secs) if _send(process, signal.SIGKILL)
    ]
    wait_until_gone(stubborn, _KILL_PATIENCE_SECS)


def wait_until_gone(processes: Iterable[psutil.Process], patience_secs: float) -> list[psutil.Process]:
    """Wait for processes to end; return those that have not.

    psutil's own wait would wait for zombies too, which in a container nobody may ever bury.
    """
    deadline = time.monotonic() + patience_secs
    left = list(processes)
    while left := [process for process in left if is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_PAUSE_SECS)
    return left


def _send(process: psutil.Process, number: signal.Signals) -> bool:
    """Send a signal; return whether the process was still there."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def marked_processes(home: Path) -> Iterator[psutil.Process]:
    """Yield the living processes of the stack with this home, whoever is their parent now."""
    for process in psutil.process_iter():
        try:
            marker = process.environ().get(MARKER)
        except (psutil.Error, OSError):
            # Another user's process, or one that has just ended.
            continue
        if marker == str(home) and process.pid != os.getpid() and is_alive(process):
            yield process
