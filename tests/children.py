"""Processes that a test starts, reads and ends."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def child(command: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start a process whose output is read; it is killed at the end, however the test ends.

    Popen alone would wait for ever for one that a failed test leaves running.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: "subprocess.Popen[str]", patience_secs: float) -> Iterator[str]:
    """Give what a process prints; one that is silent about its end for so long is killed."""
    watchdog = threading.Timer(patience_secs, process.kill)
    watchdog.start()
    try:
        yield from process.stdout or ()
    finally:
        watchdog.cancel()
