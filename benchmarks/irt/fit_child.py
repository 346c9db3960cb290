"""Fits saved rows of answers in a process of its own: `python -m benchmarks.irt.fit_child FOLDER`."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.irt.cohorts import Cohort, Size, numbered
from benchmarks.irt.fits import fit_only
from seedtest.irt import Responses


def read_rows(folder: Path) -> Responses:
    """Read what `Cohort.save_rows` wrote."""
    n_users, n_items = np.fromfile(folder / "size.i64", np.int64).tolist()
    start, code = np.fromfile(folder / "start.i64", np.int64), np.fromfile(folder / "code.i32", np.int32)
    return Responses(numbered("u", n_users), numbered("q", n_items), start, code)


def main(folder: Path) -> None:
    """Fit once, and print the seconds of the fit alone."""
    responses = read_rows(folder)
    fit_only(Cohort.simulate(Size(200, 10, 10)).responses)
    start, cpu_start = time.perf_counter(), time.process_time()
    fit = fit_only(responses)
    seconds, cpu_secs = time.perf_counter() - start, time.process_time() - cpu_start
    print(json.dumps({"seconds": seconds, "cpu_secs": cpu_secs, "iterations": fit.n_iterations}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
