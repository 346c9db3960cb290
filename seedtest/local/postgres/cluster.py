"""PostgreSQL's data folder: made whole or not at all, and checked before use."""

import os
import shutil
from pathlib import Path

from seedtest.errors import StackError
from seedtest.local.postgres.account import Account
from seedtest.local.postgres.binaries import MAJOR_VERSION, Binaries

# The builtin locale sorts the same on every operating system and never changes under an index.
_INITDB_OPTIONS = [
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
]


def create_cluster(binaries: Binaries, account: Account, data: Path, *, durable: bool) -> None:
    """Run initdb beside the final place and rename, so that a broken-off attempt leaves no half data."""
    new = data.with_name(f"{data.name}.new")
    if new.exists():
        # Left by an initdb that was killed: no server has ever run on it.
        shutil.rmtree(new)
    new.mkdir(mode=0o700)
    account.own(new)
    options = _INITDB_OPTIONS if durable else [*_INITDB_OPTIONS, "--no-sync"]
    made = account.run([str(binaries.program("initdb")), "-D", str(new), *options])
    if made.returncode != 0:
        shutil.rmtree(new)
        raise StackError(_why_initdb_failed(data, made.stdout))
    new.rename(data)


def _why_initdb_failed(data: Path, output: str) -> str:
    """Return the message for a failed initdb."""
    lines = [line for line in output.splitlines() if line.strip()]
    reason = "\n".join(f"    {line}" for line in lines[-6:])
    what = f"PostgreSQL's data could not be initialised in {data}"
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return f"{what}: the disk is full (60 MB are needed). Free some space and run it again.\n{reason}"
    return f"{what}. What initdb said:\n{reason}"


def require_version(data: Path, account: Account) -> None:
    """Raise StackError unless the data are this major version's and belong to the server's user."""
    owner = data.stat().st_uid
    if owner != account.uid:
        raise StackError(
            f"PostgreSQL's data in {data} belong to the user with id {owner}, but the server would run as "
            f"{account.name} ({account.uid}). Run seedtest as the user who made them, or name another "
            "folder in SEEDTEST_HOME."
        )
    version_file = data / "PG_VERSION"
    try:
        version = version_file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        content = "empty" if not os.listdir(data) else "no PostgreSQL data"  # noqa: PTH208
        raise StackError(
            f"{data} exists but is {content}: PG_VERSION is missing. Move it away, then run it again."
        ) from None
    if version != str(MAJOR_VERSION):
        raise StackError(
            f"The data in {data} were written by PostgreSQL {version}, this release brings {MAJOR_VERSION}. "
            "They are untouched. Dump them with the release that wrote them (pg_dump) and restore, "
            "or name another folder in SEEDTEST_HOME."
        )
