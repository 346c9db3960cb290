"""Which commit is deployed: what the images hold decides, so that a changed cron changes a cron alone."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedtest.errors import ConfigurationError

_IGNORE_FILE = ".dockerignore"


def code_sha(root: Path) -> str:
    """Return the last commit that changed what the images are made from: their tag, and the version of flows.

    A commit that changes only schedules, manifests or documents gives no new image and restarts nothing.
    """
    changed = _git(root, "status", "--porcelain", "--", *_image_sources(root))
    if changed:
        raise ConfigurationError(
            f"What the images are made from has changes that are not committed ({_first(changed)}), so no "
            "commit names them. Commit or stash them, and deploy again."
        )
    sha = _git(root, "log", "-1", "--format=%H", "--", *_image_sources(root))
    if not sha:
        raise ConfigurationError(f"No commit in {root} holds the flows. Deploy from a clone of the project.")
    return sha


def _image_sources(root: Path) -> list[str]:
    """Return what the images' build is given: the exceptions of .dockerignore, and how it is built."""
    lines = (root / _IGNORE_FILE).read_text(encoding="utf-8").splitlines()
    return [line[1:] for line in lines if line.startswith("!")] + ["Dockerfile", _IGNORE_FILE]


@contextmanager
def tree_at(root: Path, sha: str) -> Iterator[Path]:
    """Give the project's files as they were at a commit, in a temporary folder."""
    commit = _git(root, "rev-parse", "--verify", "--end-of-options", f"{sha}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="seedtest-deploy-") as parent:
        tree = Path(parent) / "tree"
        _git(root, "worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def _first(changed: str) -> str:
    lines = [line[2:].strip() for line in changed.splitlines()]
    return lines[0] if len(lines) == 1 else f"{lines[0]} and {len(lines) - 1} more"


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise ConfigurationError("git is not installed, and its commits name what is deployed.") from None
    if done.returncode != 0:
        raise ConfigurationError(f"`git {' '.join(arguments)}` in {root} failed: {done.stderr.strip()}")
    return done.stdout.strip()
