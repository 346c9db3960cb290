"""The images: built and pushed unless the registry has them, since what a git SHA names never changes."""

from dataclasses import dataclass
from pathlib import Path

from deploy.differences import Change
from deploy.environment import Environment, Images
from deploy.programs import find_program, run, succeeds

STEP = "images"


@dataclass(frozen=True)
class Image:
    """An image, and the target of the Dockerfile that makes it."""

    name: str
    target: str

    def reference(self, images: Images, sha: str) -> str:
        """Return what it is pushed and pulled as."""
        return f"{images.repository}/{self.name}:{sha}"


IMAGES = (
    Image("seedtest-flows", "flows"),
    Image("seedtest-report-runner", "reports"),
    Image("seedtest-api", "api"),
)


def deploy_images(environment: Environment, root: Path, sha: str, *, dry_run: bool) -> tuple[Change, ...]:
    """Build and push the images that the registry does not have."""
    if environment.images is None:
        return ()
    builder = find_program(STEP, "docker", "podman")
    missing = [
        image
        for image in IMAGES
        if not succeeds([builder, "manifest", "inspect", image.reference(environment.images, sha)], root)
    ]
    if not dry_run:
        for image in missing:
            _build_and_push(builder, image, environment.images, root, sha)
    return tuple(
        Change(f"image {image.reference(environment.images, sha)}", "built and pushed") for image in missing
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
