"""The programs that a deployment calls, found or explained, and what they say when they fail."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from seedtest.errors import ConfigurationError

_LAST_LINES = 15


def find_program(step: str, *names: str) -> str:
    """Return the first of the programs that is installed; ConfigurationError saying how to do without."""
    for name in names:
        if shutil.which(name):
            return name
    raise ConfigurationError(
        f"The step {step} needs {' or '.join(names)}, and there is none on this machine. Install one, or "
        f"leave the step to a machine that has it: SKIP={step}"
    )


def succeeds(command: Sequence[str], root: Path) -> bool:
    """Whether a program that only asks ends well."""
    return run(command, root, allowed=None).returncode == 0


def run(
    command: Sequence[str],
    root: Path,
    *,
    text: str | None = None,
    allowed: tuple[int, ...] | None = (0,),
) -> subprocess.CompletedProcess[str]:
    """Run a program in the project's folder; ConfigurationError when it ends otherwise than allowed."""
    done = subprocess.run(command, cwd=root, input=text or "", capture_output=True, text=True, check=False)
    if allowed is not None and done.returncode not in allowed:
        raise ConfigurationError(
            f"`{' '.join(command)}` failed; correct what it says and deploy again:\n{last_lines(done)}"
        )
    return done


def last_lines(done: subprocess.CompletedProcess[str]) -> str:
    """Return the end of what a program that failed said, where it says why."""
    return "\n".join((done.stderr or done.stdout).splitlines()[-_LAST_LINES:])
