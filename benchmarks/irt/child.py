"""A process of its own, with its time and peak memory as the operating system counts them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LAUNCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
said = child.stdout.read().decode()
_, status, usage = os.wait4(child.pid, 0)
print(json.dumps({"seconds": time.perf_counter() - start, "peak_kb": usage.ru_maxrss,
                  "cpu_secs": usage.ru_utime + usage.ru_stime,
                  "code": os.waitstatus_to_exitcode(status), "said": said}))
"""
"""A child's peak starts at that of the process that forks it: this one stays small."""


@dataclass(frozen=True, slots=True)
class Run:
    """Wall-clock seconds from start to end, processor seconds, peak memory (MB), and what was printed."""

    seconds: float
    cpu_secs: float
    peak_mb: float
    said: str


def run(command: list[str | Path]) -> Run:
    """Run a command to its end.

    Raises
    ------
    RuntimeError
        When it fails.
    """
    launcher = [sys.executable, "-S", "-c", LAUNCH, *map(str, command)]
    found = json.loads(subprocess.run(launcher, check=True, stdout=subprocess.PIPE).stdout)
    if found["code"] != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {found['code']}")
    return Run(found["seconds"], found["cpu_secs"], found["peak_kb"] * 1024 / 1e6, found["said"])


def python(*arguments: str | Path) -> Run:
    """Run this Python."""
    return run([sys.executable, *arguments])
