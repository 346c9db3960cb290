"""R's mirt, PyPI's mirt and girth: where they are, and their fits in processes of their own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.irt.cohorts import Cohort, Size
from seedtest.irt import ItemParameters
from seedtest.irt.parameters import FloatArray

HERE = Path(__file__).parent
SCRATCH = HERE.parents[1] / ".seedtest" / "rivals"
PACKAGES = {"mirt": "mirt==1.2.*", "girth": "girth==0.8.*"}
INSTALL = "python -m benchmarks irt --with-rivals"
SHARE_FOR_REPEATS = 0.5


class Rival(StrEnum):
    """Who else fits a 2PL by marginal maximum likelihood."""

    R_MIRT = "R mirt"
    PYPI_MIRT = "PyPI mirt"
    GIRTH = "girth"


PUBLISHED_SECS = {
    Size(500, 150, 150): {Rival.R_MIRT: 1.9, Rival.PYPI_MIRT: 4.5, Rival.GIRTH: 24.0},
    Size(5_000, 200, 200): {Rival.R_MIRT: 14.1, Rival.PYPI_MIRT: 6.5, Rival.GIRTH: 90.0},
    Size(20_000, 500, 40): {Rival.R_MIRT: 41.9, Rival.PYPI_MIRT: 7.1, Rival.GIRTH: 296.0},
    Size(100_000, 2_000, 40): {Rival.R_MIRT: 1089.0, Rival.PYPI_MIRT: 73.0, Rival.GIRTH: float("inf")},
}
"""Seconds of a fit on another machine, for rivals that are absent or too slow to wait for: those beside
the reference results. girth was not tried on the largest."""


@dataclass(frozen=True, eq=False)
class RivalFit:
    """What a rival took and found.

    Attributes
    ----------
    label, remark
        Name and version, and how it ran.
    seconds
        Of each run.
    iterations
        EM iterations, where the rival tells.
    a, b
        Estimates, (n_items,).
    mean, sd
        Ability distribution.
    """

    label: str
    remark: str
    seconds: tuple[float, ...]
    iterations: int | None
    a: FloatArray
    b: FloatArray
    mean: float = 0.0
    sd: float = 1.0

    @property
    def median_secs(self) -> float:
        """Median of the runs."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Rivals:
    """Interpreters that can run rivals; `absent` says why a rival cannot be run."""

    python: Path | None
    rscript: Path | None
    r_library: Path | None
    absent: dict[Rival, str] = field(default_factory=dict)

    @classmethod
    def found(
        cls, python: Path | None, rscript: Path | None, r_library: Path | None, *, install: bool
    ) -> "Rivals":
        """Look for each rival, installing PyPI's first if wished."""
        scratch = SCRATCH / "bin" / "python"
        if python is None and install:
            _install(scratch)
        if python is None and scratch.exists():
            python = scratch
        absent = {}
        for rival, package in ((Rival.PYPI_MIRT, "mirt"), (Rival.GIRTH, "girth")):
            if python is None or not _succeeds([python, "-c", f"import {package}"]):
                absent[rival] = f"not installed: {INSTALL}"
        if rscript is None or not _succeeds([rscript, "-e", _r_check(r_library)]):
            absent[Rival.R_MIRT] = "no Rscript with mirt: --rscript, --r-library"
        return cls(python, rscript, r_library, absent)

    def fit(
        self, rival: Rival, cohort: Cohort, budget_secs: float, anchors: ItemParameters | None = None
    ) -> RivalFit:
        """Fit a cohort up to five times, no longer than the share of the budget that is for repeats."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            cohort.save(folder)
            if anchors is not None:
                _write_anchors(folder, cohort, anchors)
            size = cohort.size
            sizes = (str(size.n_users), str(size.n_items), str(budget_secs * SHARE_FOR_REPEATS))
            if rival is Rival.R_MIRT:
                return self._by_r(folder, sizes)
            return self._by_python(rival, folder, sizes)

    def _by_python(self, rival: Rival, folder: Path, sizes: Sequence[str]) -> RivalFit:
        package = "mirt" if rival is Rival.PYPI_MIRT else "girth"
        said = json.loads(_said([self.python, HERE / "rival_worker.py", package, folder, *sizes]))
        label = f"{rival} {said['version']}"
        return RivalFit(
            label,
            "its own threads" if rival is Rival.PYPI_MIRT else "1 thread",
            tuple(said["seconds"]),
            said["iterations"],
            *_estimates(folder),
        )

    def _by_r(self, folder: Path, sizes: Sequence[str]) -> RivalFit:
        library = [] if self.r_library is None else [self.r_library]
        said = _said([self.rscript, HERE / "mirt.R", folder, *sizes, *library])
        lines = [line.split() for line in said.splitlines()]
        version = next(line[1:] for line in lines if line[0] == "version")
        runs = [line for line in lines if line[0] == "run"]
        mean, sd = np.fromfile(folder / "ability.f64")
        label, remark = f"{Rival.R_MIRT} {version[0]}", f"R {version[1]}, 1 thread"
        seconds = tuple(float(line[1]) for line in runs)
        return RivalFit(label, remark, seconds, int(runs[-1][2]), *_estimates(folder), float(mean), float(sd))


def _install(python: Path) -> None:
    """Make an environment for PyPI's rivals; where that fails uv says why, and they are absent."""
    uv = Path(sys.executable).parent / "uv"
    # As scripts/setup does: an index behind a company's own certificate is trusted as the system trusts it.
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    made = python.exists() or _runs(
        [uv, "venv", "-q", "--python", sys.executable, python.parents[1]], environment
    )
    if made:
        _runs([uv, "pip", "install", "-q", "--python", python, *PACKAGES.values()], environment)


def _runs(command: Sequence[str | Path], environment: dict[str, str]) -> bool:
    return subprocess.run(command, check=False, env=environment).returncode == 0


def _r_check(library: Path | None) -> str:
    where = "" if library is None else f", lib.loc = '{library}'"
    return f"packageVersion('mirt'{where})"


def _succeeds(command: Sequence[str | Path]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _said(command: Sequence[str | Path | None]) -> str:
    words = [os.fspath(word) for word in command if word is not None]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def _estimates(folder: Path) -> tuple[FloatArray, FloatArray]:
    return np.fromfile(folder / "a.f64"), np.fromfile(folder / "b.f64")


def _write_anchors(folder: Path, cohort: Cohort, anchors: ItemParameters) -> None:
    at = pl.Series(cohort.item_ids).index_of
    columns = {"item": [at(item_id) for item_id in anchors.item_ids], "a": anchors.a, "b": anchors.b}
    pl.DataFrame(columns).write_csv(folder / "anchors.csv")
