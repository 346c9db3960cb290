"""The images: built and pushed unless the registry has them, since what a git SHA names never changes."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.differences import Change
from deploy.environment import Environment, Images
from deploy.programs import find_program, last_lines, run, succeeds
from seedtest.errors import ConfigurationError

STEP = "images"
_BUILDERS = ("docker", "podman")
# What they say of an image that is not there; a registry that has nothing under the name says the latter.
_MISSING = ("no such manifest", "manifest unknown", "name unknown")
# Podman before 4.4 fetches the manifest of an image for one processor, and cannot show it.
_PRESENT = "Treating single images as manifest lists is not implemented"


@dataclass(frozen=True)
class Image:
    """An image, and the target of the Dockerfile that makes it."""

    name: str
    target: str

    def reference(self, images: Images, sha: str) -> str:
        """Return what it is pushed and pulled as."""
        return f"{images.repository}/{self.name}:{sha}"


FLOWS = Image("seedtest-flows", "flows")
REPORTS = Image("seedtest-report-runner", "reports")
API = Image("seedtest-api", "api")
IMAGES = (FLOWS, REPORTS, API)


def deploy_images(environment: Environment, root: Path, sha: str, *, dry_run: bool) -> tuple[Change, ...]:
    """Build and push the images that the registry does not have."""
    if environment.images is None:
        return ()
    builder = _builder(root)
    missing = [
        image
        for image in IMAGES
        if not _is_in_registry(builder, image.reference(environment.images, sha), root)
    ]
    if not dry_run:
        for image in missing:
            _build_and_push(builder, image, environment.images, root, sha)
    return tuple(
        Change(f"image {image.reference(environment.images, sha)}", "built and pushed") for image in missing
    )


def _builder(root: Path) -> str:
    """Return the first program that can build: Docker's may be there without its daemon."""
    find_program(STEP, *_BUILDERS)
    for name in _BUILDERS:
        if shutil.which(name) and succeeds([name, "version"], root):
            return name
    raise ConfigurationError(
        f"The step {STEP} needs {' or '.join(_BUILDERS)}, and what is installed does not work: "
        f"`docker version` says why. Start it, or leave the step to another machine: SKIP={STEP}"
    )


def _is_in_registry(builder: str, reference: str, root: Path) -> bool:
    """Whether a registry has an image; ConfigurationError when it does not tell."""
    done = run([builder, "manifest", "inspect", reference], root, allowed=None)
    if done.returncode == 0 or _PRESENT in done.stderr:
        return True
    if any(words in done.stderr for words in _MISSING):
        return False
    raise ConfigurationError(
        f"Whether {reference} has to be built cannot be told: its registry does not answer as it should. "
        f"Check that it is reachable and that {builder} is signed in to it, and deploy again:\n"
        f"{last_lines(done)}"
    )


def _build_and_push(builder: str, image: Image, images: Images, root: Path, sha: str) -> None:
    reference = image.reference(images, sha)
    base = ["--build-arg", f"BASE_IMAGE={images.base_image}"] if images.base_image else []
    run(
        [
            builder,
            "build",
            "--target",
            image.target,
            "--build-arg",
            f"GIT_SHA={sha}",
            *base,
            "--tag",
            reference,
            ".",
        ],
        root,
    )
    run([builder, "push", reference], root)
