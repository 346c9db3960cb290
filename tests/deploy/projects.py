"""Clones of the project that tests may change and commit to, and deployments from them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deploy.differences import Change
from deploy.environment import load_environment
from deploy.revision import code_sha
from deploy.steps import Release, Step, deploy, undeploy

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    *("blocks", "deploy", "environments", "flows", "k8s", "reports", "seedtest"),
    *("prefect.yaml", "pyproject.toml", "requirements.lock", "README.md", "Dockerfile", ".dockerignore"),
)
AUTHOR = {
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}
# Neither a cluster nor a registry is at hand; test_images.py and tests/k8s_cluster have them.
ON_SERVER = frozenset(Step) - {Step.IMAGES, Step.MANIFESTS}


@dataclass(frozen=True)
class Project:
    """A clone with one commit, and the Prefect server that it is deployed to."""

    root: Path
    api_url: str

    def release(self, env: str = "staging", *, dry_run: bool = False) -> Release:
        environment = load_environment(env, self.root / "environments")
        version = code_sha(self.root) if environment.images else "1.0"
        return Release(environment, self.root, version, self.api_url, dry_run=dry_run)

    def deploy(self, env: str = "staging", *, dry_run: bool = False) -> list[str]:
        """Take the steps of the server, from the files of the clone; return the changes."""
        return _told(deploy(self.release(env, dry_run=dry_run), ON_SERVER))

    def undeploy(self, *, dry_run: bool = False) -> list[str]:
        """Take away what is on the server; return the changes."""
        return _told(undeploy(self.release(dry_run=dry_run), ON_SERVER))

    def command(self, *arguments: str, does: str = "deploy", fails: bool = False) -> str:
        """Run the command that make runs; return what it said."""
        options = ["--env", "staging", "--api-url", self.api_url]
        done = subprocess.run(
            [sys.executable, "-m", "deploy", does, *options, *arguments],
            cwd=self.root,
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def describe(self, env: str, **changed: Any) -> None:
        """Change sections of an environment's file."""
        path = self.root / "environments" / f"{env}.yaml"
        yaml = YAML(typ="safe", pure=True)
        yaml.dump({**yaml.load(path), **changed}, path)

    def commit(self) -> str:
        """Commit everything; return the SHA."""
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--message", "A change")
        return git(self.root, "rev-parse", "HEAD")


def make_project(folder: Path, api_url: str) -> Project:
    """Return a clone of the project as it is in the working tree, committed once."""
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    (folder / ".gitignore").write_text("__pycache__\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    project = Project(folder, api_url)
    project.commit()
    return project


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, **AUTHOR},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _told(steps: Iterable[tuple[str, tuple[Change, ...]]]) -> list[str]:
    return [str(change) for _, changes in steps for change in changes]
