"""Processes of the operating system: which are ours, and stopping them."""

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

# Every process of a stack carries its home in this variable: the proof that it is this stack's.
MARKER = "SEEDTEST_STACK"


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
    _, stubborn = psutil.wait_procs([p for p in asked if is_alive(p)], timeout=patience_secs)
    killed = [process for process in stubborn if is_alive(process) and _send(process, signal.SIGKILL)]
    psutil.wait_procs(killed, timeout=10)


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
