"""prefect.yaml as an environment fills it in: typed, without a key or a variable that nobody knows."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from deploy.environment import Environment
from deploy.images import FLOWS, REPORTS
from seedtest.errors import ConfigurationError

FILE = "prefect.yaml"
NO_IMAGE = "none"
_VARIABLE = re.compile(r"{{\s*\$(\w+)\s*}}")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Schedule(_Entry):
    """When a deployment runs by itself."""

    slug: str
    cron: str
    timezone: str
    active: bool


class ConcurrencyLimit(_Entry):
    """How many runs of a deployment there may be at a time, and what becomes of one more."""

    limit: int = Field(ge=1)
    collision_strategy: str = Field(pattern="^(ENQUEUE|CANCEL_NEW)$")
    grace_period_seconds: int | None = None


class Pool(_Entry):
    """Where a deployment runs, and what its runs are given."""

    name: str
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Deployment(_Entry):
    """One deployment; Prefect ignores keys that it does not know, so a slip of the pen is caught here."""

    name: str
    version: str
    entrypoint: str = Field(pattern=r"^flows/\w+\.py:\w+$")
    description: str
    tags: tuple[str, ...]
    schedules: tuple[Schedule, ...]
    concurrency_limit: ConcurrencyLimit
    enforce_parameter_schema: bool
    parameters: dict[str, Any] = Field(default_factory=dict)
    work_pool: Pool


class Registry(_Entry):
    """All deployments of an environment."""

    name: str
    prefect_version: str = Field(alias="prefect-version")
    pull: tuple[dict[str, Any], ...]
    definitions: dict[str, Any]
    deployments: tuple[Deployment, ...]


def registry_variables(environment: Environment, version: str, root: Path) -> dict[str, str]:
    """Return what an environment puts into prefect.yaml; `version` is the image's tag too."""
    images = environment.images
    return {
        "SEEDTEST_BATCH_POOL": environment.batch_pool,
        "SEEDTEST_FLOWS_FOLDER": environment.flows_folder or str(root),
        "SEEDTEST_IMAGE": FLOWS.reference(images, version) if images else NO_IMAGE,
        "SEEDTEST_LOG_LEVEL": environment.log_level,
        "SEEDTEST_REPORT_IMAGE": REPORTS.reference(images, version) if images else NO_IMAGE,
        "SEEDTEST_THETA_POOL": environment.theta_pool or environment.batch_pool,
        "SEEDTEST_VERSION": version,
    }


def read_registry(file: Path, variables: Mapping[str, str]) -> Registry:
    """Return the deployments of a prefect.yaml with its variables filled in."""
    try:
        contents = YAML(typ="safe", pure=True).load(file)
        return Registry.model_validate(_filled(contents, variables))
    except FileNotFoundError:
        raise ConfigurationError(f"{file} does not exist. Deploy from a clone of the project.") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"{file} cannot be used: {faults}.") from error
    except YAMLError as error:
        raise ConfigurationError(f"{file} cannot be read: {error}. Correct it.") from error


def _filled(part: Any, variables: Mapping[str, str]) -> Any:  # noqa: ANN401 (any part of the file)
    """Return a part of the file with its variables filled in."""
    if isinstance(part, dict):
        return {key: _filled(value, variables) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, variables) for value in part]
    return _VARIABLE.sub(lambda found: _value(found[1], variables), part) if isinstance(part, str) else part


def _value(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise ConfigurationError(
            f"prefect.yaml uses ${name}, which no environment fills in. There are: {', '.join(variables)}."
        )
    return variables[name]
