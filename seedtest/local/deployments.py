"""Registering the deployments of prefect.yaml with the server, when something has changed."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.pools import POOL, THETA_POOL, WORKERS
from seedtest.local.supervision.logs import tail
from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.models import Deployment
from seedtest.say import Say
from seedtest.version import code_version

_PREFECT_YAML = "prefect.yaml"
_PATIENCE_SECS = 300
_POOLS = frozenset(WORKERS.values())


class DeclaredDeployment(BaseModel):
    """One deployment as prefect.yaml declares it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    deployments: tuple[DeclaredDeployment, ...] = ()


def declared_deployments(project: Path) -> tuple[DeclaredDeployment, ...]:
    """Return what the project's prefect.yaml declares."""
    file = project / _PREFECT_YAML
    try:
        with file.open("rb") as stream:
            return _Manifest.model_validate(YAML(typ="safe", pure=True).load(stream)).deployments
    except FileNotFoundError:
        raise StackError(
            f"{project} has no {_PREFECT_YAML}, which names the flows to register. "
            "Run seedtest from a clone of the project."
        ) from None
    except (YAMLError, ValidationError) as error:
        raise StackError(
            f"{file} cannot be read: {error}. Correct it and run `seedtest up` again."
        ) from error


class Registrar:
    """Registers one project's deployments with one server."""

    def __init__(self, api: PrefectApi, folder: StackFolder, project: Path, *, own_server: bool) -> None:
        self._api = api
        self._folder = folder
        self._project = project
        self._own_server = own_server
        self._declared = declared_deployments(project)

    def register(self, remembered: str | None, environment: Mapping[str, str], say: Say) -> str:
        """Register every deployment unless all are there unchanged; return the digest to remember."""
        present = self._present()
        if not self._own_server:
            _refuse_to_overwrite(present, self._api.url)
        variables = self._variables(environment)
        fingerprint = self._fingerprint(variables)
        if fingerprint == remembered and not self._missing(present):
            return fingerprint
        say(f"Registering {len(self._declared)} deployments")
        self._deploy({**environment, **variables})
        missing = self._missing(self._present())
        if missing:
            raise self._failure(f"these deployments are still missing: {', '.join(sorted(missing))}")
        return fingerprint

    def _present(self) -> list[Deployment]:
        """Return our deployments that the server has; a flow bears its deployment's name."""
        found = self._api.deployments([declared.name for declared in self._declared])
        flows = self._api.flow_names([deployment.flow_id for deployment in found])
        return [deployment for deployment in found if flows.get(deployment.flow_id) == deployment.name]

    def _missing(self, present: list[Deployment]) -> set[str]:
        there = {deployment.name for deployment in present if deployment.work_pool_name in _POOLS}
        return {declared.name for declared in self._declared} - there

    def _deploy(self, environment: Mapping[str, str]) -> None:
        """Run `prefect deploy`, its output in a log file."""
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        with self._log.open("wb") as log:
            try:
                done = subprocess.run(
                    command,
                    cwd=self._project,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    check=False,
                    timeout=_PATIENCE_SECS,
                )
            except subprocess.TimeoutExpired as error:
                raise self._failure(f"`prefect deploy` took longer than {_PATIENCE_SECS} s") from error
        if done.returncode != 0:
            raise self._failure("`prefect deploy` failed")

    def _variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return what the embedded stack puts into prefect.yaml, which serves all environments."""
        return {
            "SEEDTEST_BATCH_POOL": POOL,
            "SEEDTEST_FLOWS_FOLDER": str(self._project),
            "SEEDTEST_IMAGE": "none",
            "SEEDTEST_LOG_LEVEL": environment.get("PREFECT_LOGGING_LEVEL", "INFO"),
            "SEEDTEST_REPORT_IMAGE": "none",
            "SEEDTEST_THETA_POOL": THETA_POOL,
            "SEEDTEST_VERSION": code_version(),
        }

    @property
    def _log(self) -> Path:
        return self._folder.log("deploy")

    def _failure(self, why: str) -> StackError:
        return StackError(
            f"The deployments of {self._project / _PREFECT_YAML} could not be registered: {why}. The stack "
            f"itself runs; correct the cause and run `seedtest up` again.{tail(self._log)}"
        )

    def _fingerprint(self, variables: Mapping[str, str]) -> str:
        """Return a digest of the server and of all that a deployment is made from."""
        digest = hashlib.sha256(f"{self._api.url}{sorted(variables.items())}".encode())
        for file in [self._project / _PREFECT_YAML, *sorted(_sources(self._project))]:
            digest.update(bytes(file.relative_to(self._project)) + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()


def _sources(project: Path) -> Iterator[Path]:
    """Yield the project's Python files: a flow's parameters may be typed anywhere in them."""
    for folder, folders, files in os.walk(project):
        here = Path(folder)
        folders[:] = [name for name in folders if _is_source_folder(here / name)]
        yield from (here / name for name in files if name.endswith(".py"))


def _is_source_folder(folder: Path) -> bool:
    """Whether a folder is the project's own: not hidden, no environment, no dependencies."""
    return not folder.name.startswith(".") and not (folder / "pyvenv.cfg").exists()


def _refuse_to_overwrite(present: list[Deployment], url: str) -> None:
    """Raise StackError when a deployment of ours runs elsewhere: production must not move to a laptop."""
    elsewhere = [
        f"{d.name} in pool {d.work_pool_name}" for d in present if d.work_pool_name not in {None, *_POOLS}
    ]
    if elsewhere:
        raise StackError(
            f"The Prefect server at {url} has these deployments in other work pools already: "
            f"{', '.join(elsewhere)}. They were not overwritten with local ones. Unset PREFECT_API_URL to "
            "use the embedded server, or deploy to that server with `make deploy ENV=…`."
        )
