"""Whom PostgreSQL runs as: ourselves, or as root an account of its own.

PostgreSQL refuses to run as root. No existing folder's permissions are changed for the account:
what it cannot reach is put elsewhere (`placement`).
"""

import os
import pwd
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seedtest.errors import StackError

SERVER_ACCOUNT = "seedtest-pg"


@dataclass(frozen=True)
class Account:
    """A user of the operating system."""

    name: str
    uid: int
    gid: int

    @property
    def is_self(self) -> bool:
        """Whether this is the user we already are."""
        return self.uid == os.geteuid()

    @property
    def is_root(self) -> bool:
        """Whether this is the superuser."""
        return self.uid == 0

    def run(
        self, command: list[str], *, output: int | BinaryIO = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, without the variables that PostgreSQL's programs heed."""
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.defpath},
            user=None if self.is_self else self.uid,
            group=None if self.is_self else self.gid,
            extra_groups=None if self.is_self else [],
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this user may traverse the folder; asked of the kernel, so that ACLs count."""
        return self.run(["test", "-x", str(folder)]).returncode == 0

    def can_read(self, file: Path) -> bool:
        """Whether this user may read the file."""
        return self.run(["test", "-r", str(file)]).returncode == 0

    def own(self, folder: Path) -> None:
        """Give a folder that we have just made to this user."""
        if not self.is_self:
            os.chown(folder, self.uid, self.gid)


def server_account() -> Account:
    """Return the user PostgreSQL runs as; as root, create its account if missing."""
    if os.geteuid() != 0:
        return current_account()
    return _find(SERVER_ACCOUNT) or _create(SERVER_ACCOUNT)


def current_account() -> Account:
    """Return the user we are."""
    return Account(_own_name(), os.geteuid(), os.getegid())


def _own_name() -> str:
    """Return our own name; a container's user may have none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _find(name: str) -> Account | None:
    """Return an existing account."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create(name: str) -> Account:
    """Create a system account without a home or a shell."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", "--comment", "seedtest embedded PostgreSQL", name]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = made.stderr.strip()
    except FileNotFoundError:
        reason = "the program useradd is not installed"
    # Another stack may be creating it at this moment: it holds the lock of /etc/passwd.
    for _ in range(20):
        account = _find(name)
        if account is not None:
            return account
        time.sleep(0.1)
    raise StackError(
        f"PostgreSQL does not run as root, and its system account {name} could not be created: {reason}. "
        f"Create that account, run seedtest as an ordinary user, or point DATABASE_URL at a server."
    )
