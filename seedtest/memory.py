"""How much a process may hold, and how many answers that is."""

from pathlib import Path

import psutil

from seedtest.settings import Settings

CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where Linux tells a container its limit, by version of control groups."""

BASE_MB = 430
"""What a flow run holds whatever the batch: Python, Prefect, polars and the compiled kernels."""
BYTES_PER_ANSWER = 360
"""At the peak of a computation with ids of 36 characters; with those of benchmarks/batch it is 230."""
FEWEST, MOST = 20_000, 150_000
"""Answers of a batch: fewer cost more in overhead than they save, more gain no speed."""

FEWEST_BATCHES = 3
"""Batches at a time in a small pod: with two, half as large again, KPIs took a twentieth longer."""


def memory_limit_mb(settings: Settings) -> float:
    """Return the memory that this process may take: as set, else the container's, else the machine's."""
    if settings.memory_limit_mb is not None:
        return settings.memory_limit_mb
    limits = [psutil.virtual_memory().total]
    for path in CGROUP_LIMITS:
        text = path.read_text().strip() if path.exists() else ""
        limits += [int(text)] if text.isdecimal() else []
    return min(limits) / 2**20


def batches_at_a_time(settings: Settings) -> int:
    """Return how many batches are worked on at a time, so that one computes while another is written.

    Three, or more where there is room for large ones.
    """
    roomy = _spare_bytes(settings) // (MOST * BYTES_PER_ANSWER)
    return int(max(1, min(settings.batch_connections // 2, max(FEWEST_BATCHES, roomy))))


def answers_at_a_time(settings: Settings) -> int:
    """Return how many answers a batch of features or KPIs holds: as set, or what the memory allows."""
    if settings.batch_answers is not None:
        return settings.batch_answers
    each = _spare_bytes(settings) / batches_at_a_time(settings) / BYTES_PER_ANSWER
    return int(min(max(each, FEWEST), MOST))


def _spare_bytes(settings: Settings) -> float:
    return (memory_limit_mb(settings) - BASE_MB) * 2**20
