"""Kernels are loaded late, cached safely, and may be used from threads and after a fork."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from seedtest.irt import Calibration, calibrate
from seedtest.irt.compiled import kernels
from tests.irt.simulation import simulate

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = simulate(seed=51, n_users=8000, n_items=30, answers_each=20).responses


def python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return result.stdout


def same(ours: Calibration, theirs: Calibration) -> bool:
    return np.array_equal(ours.items.a, theirs.items.a) and ours.loglik == theirs.loglik


def test_importing_does_not_load_the_compiler() -> None:
    assert python("import seedtest.irt, sys; print('numba' in sys.modules)").strip() == "False"


def test_the_fast_exponential_has_all_digits() -> None:
    x = np.linspace(-700, 700, 4001)
    ours = np.array([kernels("numerics").fast_exp(value) for value in x])
    np.testing.assert_allclose(ours, np.exp(x), rtol=1e-15)
    assert kernels("numerics").fast_exp(-1e300) < 1e-300


def test_the_same_number_of_threads_gives_the_same_bits() -> None:
    assert same(calibrate(SAMPLE, n_threads=3), calibrate(SAMPLE, n_threads=3))


def test_another_number_of_threads_gives_the_same_estimates() -> None:
    one, many = calibrate(SAMPLE, n_threads=1), calibrate(SAMPLE, n_threads=3)
    np.testing.assert_allclose(one.items.a, many.items.a, atol=1e-8)


def test_several_calibrations_can_run_at_once() -> None:
    alone = calibrate(SAMPLE, n_threads=2)
    with ThreadPoolExecutor(4) as pool:
        fits = list(pool.map(lambda _: calibrate(SAMPLE, n_threads=2), range(8)))
    assert all(same(alone, fit) for fit in fits)


def test_a_fork_after_use_works() -> None:
    code = (
        "import os, sys; from seedtest.irt.warm import warm; warm(); pid = os.fork();\n"
        "if pid == 0:\n    warm(); os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert python(code).strip() == "7"
