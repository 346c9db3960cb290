"""One command at a time starts or stops a stack."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from seedtest.local.folder import StackFolder
from seedtest.say import Say


@contextmanager
def stack_lock(folder: StackFolder, say: Say) -> Iterator[None]:
    """Hold the stack's lock, waiting for another command to finish; the kernel frees it when we die."""
    try:
        file = folder.lock_file.open("a", encoding="utf-8")
    except PermissionError as error:
        raise folder.not_ours() from error
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another seedtest command is starting or stopping this stack: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
