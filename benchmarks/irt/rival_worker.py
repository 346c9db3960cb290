"""Fits a 2PL with PyPI's mirt or girth, in a Python that has them; needs numpy beside it.

python rival_worker.py PACKAGE FOLDER N_USERS N_ITEMS BUDGET_SECS

FOLDER holds user.i32, item.i32 and correct.i32. Prints JSON; estimates go to FOLDER/a.f64 and b.f64.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RUNS = 5
N_NODES = 61


class Estimates(NamedTuple):
    """Discriminations and difficulties, and the iterations where they are told."""

    a: NDArray[Any]
    b: NDArray[Any]
    iterations: int | None


def fit_mirt(answers: NDArray[np.int8]) -> Estimates:
    """2PL of PyPI's mirt, a matrix learners × items with −1 for no answer."""
    found = import_module("mirt").fit_mirt(
        answers, model="2PL", n_quadpts=N_NODES, max_iter=2000, tol=1e-4, compute_standard_errors=False
    )
    parameters = found.model.parameters
    return Estimates(parameters["discrimination"], parameters["difficulty"], found.n_iterations)


def fit_girth(answers: NDArray[np.int8]) -> Estimates:
    """2PL of girth by its defaults (61 nodes)."""
    girth = import_module("girth")
    matrix = answers.T.astype(int)
    found = girth.twopl_mml(girth.tag_missing_data(matrix, [0, 1]) if (matrix < 0).any() else matrix)
    return Estimates(found["Discrimination"], found["Difficulty"], None)


FITS: dict[str, Callable[[NDArray[np.int8]], Estimates]] = {"mirt": fit_mirt, "girth": fit_girth}


def main(package: str, folder: Path, n_users: int, n_items: int, budget_secs: float) -> None:
    """Fit five times, or until the budget would be exceeded."""
    user, item, correct = (
        np.fromfile(folder / f"{name}.i32", np.int32) for name in ("user", "item", "correct")
    )
    answers = np.full((n_users, n_items), -1, dtype=np.int8)
    answers[user, item] = correct
    # What is loaded on first use is not counted.
    FITS[package](np.random.default_rng(1).integers(0, 2, (200, 5), dtype=np.int8))
    seconds: list[float] = []
    while len(seconds) < RUNS and (not seconds or sum(seconds) + seconds[-1] <= budget_secs):
        start = time.perf_counter()
        found = FITS[package](answers)
        seconds.append(time.perf_counter() - start)
    np.asarray(found.a, dtype=np.float64).tofile(folder / "a.f64")
    np.asarray(found.b, dtype=np.float64).tofile(folder / "b.f64")
    print(json.dumps({"version": version(package), "seconds": seconds, "iterations": found.iterations}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
