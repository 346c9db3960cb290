"""Compiled kernels are kept where that is possible, and nothing fails where it is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seedtest.irt.warm import warm

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path("seedtest", "irt", "kernels", "__pycache__")
MOUNT = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
ROUNDS = (
    "from seedtest.irt.warm import warm; from seedtest.irt.compiled import kernels\n"
    "print(warm()); folder = kernels('cache').cache_folder(); print(folder)\n"
)


def python(code: str, root: Path, prefix: tuple[str, ...] = ()) -> str:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def copied(folder: Path) -> Path:
    """Copy the package with what is compiled so far."""
    warm()
    shutil.copytree(ROOT / "seedtest", folder / "seedtest", ignore=shutil.ignore_patterns("*.pyc"))
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copied(tmp_path_factory.mktemp("package"))
    python(ROUNDS, folder)
    return folder


@pytest.fixture(scope="module")
def read_only(package: Path) -> tuple[str, ...]:
    """Make the cache read-only for a command that begins with these words; modes do not stop root."""
    cache = package / CACHE
    if os.getuid() != 0:
        cache.chmod(0o500)
        return ()
    words = ("unshare", "--mount", "sh", "-c", MOUNT, "sh", str(cache))
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], check=False).returncode:
        pytest.skip("root writes everywhere, and this machine lets it mount nothing read-only")
    return words


def test_a_cache_that_cannot_be_written_is_copied_and_read_all_the_same(
    package: Path, read_only: tuple[str, ...]
) -> None:
    before = sorted((package / CACHE).iterdir())
    seconds, folder = python(ROUNDS, package, read_only).split()
    assert float(seconds) < 5
    assert Path(folder) != package / CACHE
    assert not Path(folder).exists()
    assert sorted((package / CACHE).iterdir()) == before


def test_a_fork_that_ends_first_leaves_the_copied_cache_to_its_parent(
    package: Path, read_only: tuple[str, ...]
) -> None:
    code = (
        ROUNDS + "import os, sys\nsys.stdout.flush(); pid = os.fork()\n"
        "if pid == 0:\n    warm(); sys.exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), folder.is_dir()); warm()"
    )
    _, folder, code_of_child, is_there = python(code, package, read_only).split()
    assert (code_of_child, is_there) == ("7", "True")
    assert not Path(folder).exists()


def test_without_any_folder_to_write_kernels_still_work(tmp_path: Path) -> None:
    cache = copied(tmp_path) / CACHE
    # A file in the folder's place stops root too, to whom modes mean nothing.
    shutil.rmtree(cache)
    cache.touch()
    nowhere = tmp_path / "nowhere"
    code = (
        f"import tempfile; tempfile.tempdir = {str(nowhere)!r}\n"
        "from seedtest.irt.compiled import kernels; print(kernels('cache').cache_folder())\n"
        "print(kernels('numerics').fast_exp(0.0))"
    )
    assert python(code, tmp_path).split() == ["None", "1.0"]
