"""The embedded stack's folder: what lies where below SEEDTEST_HOME."""

import errno
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from seedtest.errors import StackError

_OTHER_FOLDER = "Name another folder in SEEDTEST_HOME, or make this one writable."
_FREE_SPACE = "Free some space, or name a folder elsewhere in SEEDTEST_HOME."
_WHY = {
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EEXIST: "a file of that name is in the way",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.ENAMETOOLONG: "the path is too long",
}
_REMEDIES = {errno.ENOSPC: _FREE_SPACE, errno.EDQUOT: _FREE_SPACE}


@dataclass(frozen=True)
class StackFolder:
    """Paths below the home of one embedded stack."""

    home: Path

    @property
    def run(self) -> Path:
        """Lock, state and generated configuration of the running stack."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """Log files of the processes, rotated."""
        return self.home / "logs"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data, or a symbolic link to them."""
        return self.home / "postgres"

    @property
    def prefect(self) -> Path:
        """PREFECT_HOME of the stack: the server's SQLite database."""
        return self.home / "prefect"

    @property
    def results(self) -> Path:
        """Persisted results of flow runs."""
        return self.home / "results"

    @property
    def keys(self) -> Path:
        """Keys made for this stack, for their owner's eyes only."""
        return self.home / "keys"

    @property
    def objects(self) -> Path:
        """The embedded object store: a folder for each bucket."""
        return self.home / "object-store"

    @property
    def state_file(self) -> Path:
        """What the last `up` found out and decided."""
        return self.run / "stack.json"

    @property
    def lock_file(self) -> Path:
        """Held by whoever starts or stops the stack."""
        return self.run / "lock"

    @property
    def supervisor_config(self) -> Path:
        """The generated configuration of supervisord."""
        return self.run / "supervisord.conf"

    @property
    def supervisor_pid_file(self) -> Path:
        """Written by supervisord, and removed when it stops in order."""
        return self.run / "supervisord.pid"

    @property
    def key(self) -> str:
        """Short name of this home for folders outside of it."""
        return hashlib.sha256(bytes(self.home)).hexdigest()[:12]

    def log(self, program: str) -> Path:
        """Return the log file of one of the stack's programs."""
        return self.logs / f"{program}.log"

    def not_ours(self) -> StackError:
        """Return the error for a stack of another user."""
        return StackError(
            f"The stack in {self.home} belongs to {self.run.owner()}, who alone can use it. "
            "Name another folder in SEEDTEST_HOME for a stack of your own."
        )

    def create(self) -> None:
        """Make the folders; raise StackError when this user cannot write there.

        A new home is closed to other users, except that root's PostgreSQL must pass through it.
        """
        make_writable_folder(self.home, mode=0o711 if os.geteuid() == 0 else 0o700)
        for folder in (self.run, self.logs, self.prefect, self.results):
            make_writable_folder(folder)


def make_writable_folder(folder: Path, *, mode: int = 0o755) -> None:
    """Create a folder if missing and prove that files can be made in it."""
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
    except OSError as error:
        why = _WHY.get(error.errno or 0, error.strerror)
        remedy = _REMEDIES.get(error.errno or 0, _OTHER_FOLDER)
        raise StackError(f"The embedded stack cannot write to {folder}: {why}. {remedy}") from error


def make_empty_folder(folder: Path) -> None:
    """Create a private folder, or empty it of what killed processes have left there."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
