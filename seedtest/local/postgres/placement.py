"""Where PostgreSQL's data and the sockets of a stack lie.

Below home, except that a socket's path has a length limit, and that root's PostgreSQL runs as
another user who may not be able to enter home. Whatever lies elsewhere, a symbolic link in home
leads to it: the link is the only record, so that a moved home keeps its data.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder, make_writable_folder
from seedtest.local.postgres.account import Account
from seedtest.local.postgres.binaries import SYSTEM_DATA
from seedtest.say import Say

# The shortest limit of a socket's path (macOS; Linux: 107), less the longest name made in the folder:
# supervisord binds to a name with its pid first.
_MAX_SOCKET_FOLDER_BYTES = 103 - len("/supervisor.sock.4194304")


def data_folder(folder: StackFolder) -> Path:
    """Return where the data lie, following the link in home."""
    return folder.postgres.resolve()


def place_data(folder: StackFolder, account: Account, say: Say) -> Path:
    """Return the data's folder; a new stack whose home the account cannot enter gets one elsewhere."""
    data = data_folder(folder)
    if folder.postgres.is_symlink() and not data.parent.is_dir():
        raise StackError(
            f"PostgreSQL's data are gone: {folder.postgres} leads to {data}, which does not exist any more. "
            "Bring that folder back, or delete the link to begin with an empty database."
        )
    if folder.postgres.is_symlink() or data.exists() or account.can_enter(folder.home):
        return data
    for older in SYSTEM_DATA.glob(f"{folder.key}-*"):
        say(f"Data of a deleted {folder.home} are left in {older}: not used, delete them by hand")
    try:
        SYSTEM_DATA.mkdir(parents=True, exist_ok=True)
        outside = Path(tempfile.mkdtemp(prefix=f"{folder.key}-", dir=SYSTEM_DATA))
        outside.chmod(0o711)
        (outside / "home.txt").write_text(f"{folder.home}\n", encoding="utf-8")
    except OSError as error:
        raise StackError(
            f"PostgreSQL runs as the user {account.name}, who cannot enter {folder.home}, and its data "
            f"could not be put below {SYSTEM_DATA} either: {error.strerror}. Name a folder in SEEDTEST_HOME "
            "that other users may enter, or run seedtest as an ordinary user."
        ) from error
    folder.postgres.symlink_to(outside / "data")
    say(
        f"PostgreSQL's user {account.name} cannot enter {folder.home}: its data lie in {outside}, "
        f"linked from {folder.postgres}"
    )
    return outside / "data"


def remove_data(folder: StackFolder) -> None:
    """Delete the data and the link to them. The caller has asked the person and stopped the server."""
    data = data_folder(folder)
    if folder.postgres.is_symlink():
        folder.postgres.unlink()
        if data.parent.parent == SYSTEM_DATA:
            data = data.parent
    if data.exists():
        shutil.rmtree(data)


def socket_folder(folder: StackFolder) -> Path:
    """Return the folder of the stack's sockets: home/run, or what home/run/sockets links to."""
    link = _socket_link(folder)
    return link.readlink() if link.is_symlink() else folder.run


def place_sockets(folder: StackFolder, account: Account) -> Path:
    """Make the folder of the sockets and PostgreSQL's in it; return the former."""
    sockets = _usable_sockets(folder, account)
    sockets.chmod(0o700 if account.is_self else 0o711)
    own = sockets / "postgres"
    own.mkdir(exist_ok=True, mode=0o700)
    account.own(own)
    return sockets


def remove_sockets(folder: StackFolder) -> None:
    """Delete a socket folder outside of home, and the link to it."""
    link = _socket_link(folder)
    if link.is_symlink():
        outside = link.readlink()
        link.unlink()
        if _is_ours(outside):
            shutil.rmtree(outside)


def _socket_link(folder: StackFolder) -> Path:
    return folder.run / "sockets"


def _usable_sockets(folder: StackFolder, account: Account) -> Path:
    """Return home/run if short enough and open to the account, else a private temporary folder."""
    link = _socket_link(folder)
    if link.is_symlink():
        if _is_ours(link.readlink()):
            return link.readlink()
        link.unlink()
    make_writable_folder(folder.run)
    if len(bytes(folder.run)) <= _MAX_SOCKET_FOLDER_BYTES and account.can_enter(folder.run):
        return folder.run
    outside = Path(tempfile.mkdtemp(prefix=f"seedtest-{folder.key}-"))
    if len(bytes(outside)) > _MAX_SOCKET_FOLDER_BYTES:
        outside.rmdir()
        # The one short folder that every system has; mkdtemp is safe in it.
        outside = Path(tempfile.mkdtemp(prefix=f"seedtest-{folder.key}-", dir="/tmp"))
    link.symlink_to(outside)
    return outside


def _is_ours(path: Path) -> bool:
    """Whether a folder exists, belongs to us and nobody else may write to it."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    closed = not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and closed
