"""The images' step against a real registry: what it has is neither built nor pushed again."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.images import IMAGES
from tests.deploy.projects import Project, make_project
from tests.k8s_cluster.cluster import eventually
from tests.local.conftest import free_port

NOBODY = "http://127.0.0.1:9/api"
START_SECS = 30
NAMES = {image.name for image in IMAGES}
# Three images of one file each: what is tried is the way to the registry, not what is in them.
DOCKERFILE = """
FROM scratch AS flows
COPY pyproject.toml /
FROM flows AS reports
FROM flows AS api
"""
CONFIGURATION = """
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {folder}/objects}}
http: {{addr: "{address}"}}
"""
STORAGE = """
[storage]
driver = "vfs"
graphroot = "{folder}/images"
runroot = "{folder}/run"
"""
PLAIN_HTTP = """
[[registry]]
location = "{address}"
insecure = true
"""


@dataclass(frozen=True)
class Registry:
    """Debian's registry on a port of this machine."""

    address: str

    @property
    def repository(self) -> str:
        return f"{self.address}/seedtest"

    def tags(self, image: str) -> list[str]:
        """The tags of an image; none where nothing was ever pushed."""
        answer = httpx.get(f"http://{self.address}/v2/seedtest/{image}/tags/list", timeout=10)
        return sorted(answer.json()["tags"]) if answer.is_success else []


@contextmanager
def serving(folder: Path, address: str) -> Iterator[None]:
    """Run a registry whose images are kept in a folder."""
    configuration = folder / "registry.yml"
    configuration.write_text(CONFIGURATION.format(folder=folder, address=address), encoding="utf-8")
    with subprocess.Popen(
        ["docker-registry", "serve", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            eventually(lambda: _answers(address), START_SECS, "the registry")
            yield
        finally:
            process.terminate()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/v2/", timeout=2).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where podman and the registry keep what they have, and nobody else's podman finds it."""
    for program, package in (("docker-registry", "docker-registry"), ("podman", "podman")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install {package})")
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        # A client of Docker's may be installed too; without its daemon it is no builder.
        patch.setenv("DOCKER_HOST", f"unix://{folder}/nowhere")
        for name, contents in (("STORAGE", STORAGE), ("REGISTRIES", PLAIN_HTTP)):
            patch.setenv(f"CONTAINERS_{name}_CONF", str(folder / name))
            text = contents.format(folder=folder, address=_address(folder))
            (folder / name).write_text(text, encoding="utf-8")
        yield folder


def _address(folder: Path) -> str:
    """The registry's address, the same for all who ask."""
    file = folder / "address"
    if not file.exists():
        file.write_text(f"127.0.0.1:{free_port()}", encoding="utf-8")
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def address(folder: Path) -> str:
    """The registry's address, whether it runs or not."""
    return _address(folder)


@pytest.fixture
def registry(folder: Path, address: str) -> Iterator[Registry]:
    """A registry that runs."""
    with serving(folder, address):
        yield Registry(address)


@pytest.fixture(scope="module")
def project(folder: Path, address: str) -> Project:
    """A clone whose images are small and go to that registry."""
    made = make_project(folder / "project", NOBODY)
    (made.root / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    made.describe("staging", images={"repository": f"{address}/seedtest"})
    made.commit()
    return made


def deploy(project: Project, *arguments: str, fails: bool = False) -> str:
    return project.command("--only", "images", *arguments, fails=fails)


@pytest.mark.heavy
def test_images_are_built_and_pushed_once_for_a_commit(project: Project, registry: Registry) -> None:
    first = project.release().version
    said = deploy(project, "--dry-run")
    assert "images: 3 to change" in said
    assert registry.tags("seedtest-flows") == []
    said = deploy(project)
    for name in NAMES:
        assert f"  image {registry.repository}/{name}:{first}: built and pushed" in said
        assert registry.tags(name) == [first]
    assert "staging: no change" in deploy(project)
    project.edit("pyproject.toml", "seedtest-analytics", "seedtest-analytics-two")
    second = project.commit()
    assert "images: 3 to change" in deploy(project, "--dry-run")
    deploy(project)
    assert {name: registry.tags(name) for name in NAMES} == dict.fromkeys(NAMES, sorted([first, second]))


@pytest.mark.heavy
def test_a_registry_that_is_away_stops_the_deployment_before_anything_is_built(
    project: Project, address: str
) -> None:
    said = deploy(project, fails=True)
    assert "its registry does not answer as it should" in said
    assert f"{address}/seedtest/seedtest-flows" in said
    assert "connection refused" in said
    assert "built and pushed" not in said
