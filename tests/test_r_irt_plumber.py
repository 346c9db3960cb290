"""The helpers of R's IRT service, by their own tests: they need plumber, and no mirt."""

import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1] / "k8s" / "r-irt-plumber" / "tests" / "run.R"


def _rscript(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["Rscript", *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_the_helpers_of_the_r_service_pass_their_own_tests() -> None:
    try:
        has_plumber = _rscript("-e", "loadNamespace('plumber')").returncode == 0
    except FileNotFoundError:
        pytest.skip("Rscript is not installed (apt-get install r-base-core r-cran-plumber)")
    if not has_plumber:
        pytest.skip("R has no package plumber (apt-get install r-cran-plumber)")
    done = _rscript(str(TESTS))
    assert done.returncode == 0, done.stdout
