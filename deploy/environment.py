"""The environments to deploy to: what differs between them, one small typed file each, no secrets."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from blocks.environment import BlockEnvironment
from seedtest.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "environments"

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class PoolType(StrEnum):
    """How a work pool's worker runs flows: each as a Job, or as a process of its own."""

    KUBERNETES = "kubernetes"
    PROCESS = "process"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WorkPool(_Section):
    """A work pool, and whether its job template is ours."""

    name: Name = Field(description="Name that deployments and workers know it by")
    type: PoolType = Field(description="kubernetes: a Job a run; process: a process of the worker a run")
    description: str = Field(description="What runs there, shown in Prefect's UI")
    own_template: bool = Field(
        default=True,
        description="Whether k8s/work-pool/<type>.json is its template; otherwise Prefect's stays",
    )


class Cluster(_Section):
    """A Kubernetes cluster, and what is applied to it."""

    context: str = Field(min_length=1, description="Context of kubectl; never the current one by chance")
    overlay: Name = Field(description="Folder below k8s/overlays")


class Images(_Section):
    """Where images are pushed to and pulled from; their tag is a git SHA."""

    repository: str = Field(
        pattern=r"^[^\s:@]+(:\d+)?/[^\s:@]+$", description="Registry and folder, without an image's name"
    )
    base_image: str | None = Field(
        None, description="Image to build on instead of the Dockerfile's, pinned by digest"
    )


class Environment(_Section):
    """One environment: everything that a deployment to it has to know, nothing of it secret."""

    name: Name = Field(description="Its name, that of its file")
    prefect_api_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/@]+(/\S*)?$",
        description="Prefect server as the deploying machine reaches it; unset: PREFECT_API_URL, or the "
        "embedded stack's",
    )
    cluster: Cluster | None = Field(None, description="Cluster to apply manifests to; unset: none")
    images: Images | None = Field(None, description="Images to build; unset: flows run from the working tree")
    flows_folder: str | None = Field(
        None, pattern="^/", description="Folder of the flows where they run; unset: the working tree"
    )
    work_pools: tuple[WorkPool, ...] = Field(min_length=1, description="The work pools of the environment")
    batch_pool: Name = Field(description="Pool of the nightly stages and of everything that runs for minutes")
    theta_pool: Name | None = Field(
        None, description="Pool of the triggered θ runs, which have to start at once; unset: batch_pool"
    )
    notification_block: str | None = Field(
        None,
        pattern=r"^[-a-z0-9]+/[-a-z0-9]+$",
        description="Block that alerts go to, as TYPE/NAME; unset: alerts show in Prefect's event feed only",
    )
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level of the log lines of runs"
    )
    blocks: BlockEnvironment = Field(
        default_factory=lambda: BlockEnvironment.model_validate({}),
        description="Secret store, bucket and services that blocks name",
    )

    @model_validator(mode="after")
    def _pools_are_declared(self) -> Self:
        declared = {pool.name for pool in self.work_pools}
        for key, name in (("batch_pool", self.batch_pool), ("theta_pool", self.theta_pool)):
            if name is not None and name not in declared:
                raise ValueError(f"{key} {name} is none of work_pools")
        return self

    @model_validator(mode="after")
    def _images_have_their_folder(self) -> Self:
        if (self.images is None) != (self.flows_folder is None):
            raise ValueError("images and flows_folder go together: an image holds the flows in that folder")
        return self

    @model_validator(mode="after")
    def _manifests_have_images(self) -> Self:
        if self.cluster is not None and self.images is None:
            raise ValueError("cluster needs images: its manifests name them")
        return self


def load_environment(name: str, folder: Path = FOLDER) -> Environment:
    """Return what a file of the folder describes; ConfigurationError when it cannot be used."""
    file = folder / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(other.stem for other in folder.glob("*.yaml"))) or "none"
        raise ConfigurationError(
            f"There is no environment {name}: {file} does not exist. There are: {known}."
        )
    try:
        contents = YAML(typ="safe", pure=True).load(file)
        return Environment.model_validate({"name": file.stem, **(contents or {})})
    except ValidationError as error:
        raise ConfigurationError(f"{file} cannot be used: {_faults(error)}.") from error
    except (YAMLError, TypeError) as error:
        raise ConfigurationError(f"{file} is not a mapping in YAML: {error}. Correct it.") from error


def _faults(error: ValidationError) -> str:
    """Return what is wrong with each key, in one sentence."""
    return "; ".join(
        ".".join(str(part) for part in fault["loc"]) + (": " if fault["loc"] else "") + fault["msg"]
        for fault in error.errors(include_input=False, include_url=False)
    )
