"""Timing by medians, and a table of ratios."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

RUNS = 5
PACKAGES = ("numpy", "numba", "polars", "scipy")


@dataclass(frozen=True)
class Contender:
    """One way to do the work."""

    name: str
    work: Callable[[], object]


def median_seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median time of several runs after one that is not counted."""
    work()
    return statistics.median(_seconds(work) for _ in range(runs))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(title: str, ours: Contender, rivals: list[Contender], runs: int = RUNS) -> None:
    """Print each contender's median and how many times ours it takes."""
    print(f"\n{title} (median of {runs})")
    own = median_seconds(ours.work, runs)
    print(f"  {ours.name:<60}{own:9.3f} s")
    for rival in rivals:
        seconds = median_seconds(rival.work, runs)
        print(f"  {rival.name:<60}{seconds:9.3f} s   {seconds / own:6.2f} × ours")


def machine() -> str:
    """Return what this was measured on."""
    system = f"{platform.system()} {platform.machine()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    return f"{os.cpu_count()} processors, {load}, Python {platform.python_version()}, {packages}, {system}"
