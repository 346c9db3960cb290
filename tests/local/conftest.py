"""One embedded stack for the tests of this folder: starting Prefect's server costs seconds."""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from seedtest.local import stack, stopping
from seedtest.local.folder import StackFolder
from seedtest.local.state import StackState
from seedtest.local.supervision.control import Supervisor
from seedtest.settings import Settings
from tests.local.homes import open_folder

PROJECT = Path(__file__).parent / "project"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Stack:
    """A stack of the tests' own: its home, what `up` said, and its project."""

    settings: Settings
    project: Path
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> StackFolder:
        return StackFolder(self.settings.home)

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.folder)

    def up(self) -> StackState:
        self.said.clear()
        return stack.up(self.settings, say=self.said.append, project=self.project)

    def down(self, grace_secs: float = 0) -> None:
        self.said.clear()
        stopping.down(self.settings, grace_secs=grace_secs, say=self.said.append)

    def clean(self) -> None:
        stopping.clean(self.settings, say=self.said.append)

    def pid(self, program: str) -> int:
        return self.supervisor.process(program).pid


def make_stack(
    folder: Path,
    *,
    port: int | None = None,
    project: Path | None = None,
    database_url: str | None = None,
    prefect_api_url: str | None = None,
) -> Stack:
    """Return a stack below the folder that is not started yet; addresses make its servers external.

    Stacks that share a server must share the project: its folder is written into the deployments.
    """
    settings = Settings(
        seedtest_home=folder / "home",
        seedtest_prefect_port=port,
        database_url=SecretStr(database_url) if database_url else None,
        prefect_api_url=prefect_api_url,
    )
    if project is None:
        project = folder / "project"
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    return Stack(settings, project)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, with a short path."""
    with open_folder() as path:
        yield path


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[Stack]:
    """The stack that tests share."""
    with open_folder() as path:
        made = make_stack(path, port=free_port())
        try:
            made.up()
            yield made
        finally:
            made.clean()


@pytest.fixture
def running(shared_stack: Stack) -> Stack:
    """The shared stack, with every part running whatever the test before has done to it."""
    shared_stack.up()
    return shared_stack
