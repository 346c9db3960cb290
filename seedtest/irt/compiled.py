"""The way to the compiled kernels: numba costs a second to import, so nothing loads it before it is used."""

import functools
import importlib
import os
from types import ModuleType


@functools.cache
def kernels(name: str) -> ModuleType:
    """Load one module of `seedtest.irt.kernels`."""
    return importlib.import_module(f"seedtest.irt.kernels.{name}")


def available_threads() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
