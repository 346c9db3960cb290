"""Rows of a benchmark's table, targets and verdicts, printed as they come."""

import os
import sys
from dataclasses import dataclass, field
from enum import Enum


class Direction(Enum):
    """On which side of its limit a figure should be."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for a figure."""

    direction: Direction
    limit: float
    unit: str

    def holds(self, figure: float) -> bool:
        """Whether the figure keeps it."""
        return figure <= self.limit if self.direction is Direction.AT_MOST else figure >= self.limit

    def __str__(self) -> str:
        return f"{self.direction.value} {self.limit:,g} {self.unit}"


def at_most(limit: float, unit: str) -> Target:
    """Return the target of a figure that should be small."""
    return Target(Direction.AT_MOST, limit, unit)


def at_least(limit: float, unit: str) -> Target:
    """Return the target of a figure that should be large."""
    return Target(Direction.AT_LEAST, limit, unit)


@dataclass
class Report:
    """Prints what was measured and keeps count of the targets."""

    n_met: int = 0
    missed: list[str] = field(default_factory=list)
    _section: str = ""

    def section(self, title: str) -> None:
        """Start a table, and say how busy the machine was just before."""
        self._section = title
        print(f"\n{title}   [load {os.getloadavg()[0]:.1f}]", flush=True)

    def doing(self, what: str) -> None:
        """Say what takes its time."""
        print(f"  … {what}", file=sys.stderr, flush=True)

    def row(self, name: str, figure: str, note: str = "") -> None:
        """Print a line."""
        print(f"  {name:<50}{figure:>18}   {note}".rstrip(), flush=True)

    def verdict(self, name: str, figure: float, target: Target, note: str = "") -> None:
        """Print a figure beside its target."""
        said = f"{figure:,.4g} {target.unit}"
        self.judged(name, said, f"target {target}", note, holds=target.holds(figure))

    def judged(self, name: str, figure: str, wanted: str, note: str = "", *, holds: bool) -> None:
        """Print whether a figure is as wanted."""
        if holds:
            self.n_met += 1
        else:
            self.missed.append(f"{self._section}: {name}: {figure} ({wanted})")
        self.row(name, figure, f"{wanted}: {'met' if holds else 'MISSED'}   {note}")

    def close(self) -> None:
        """Print how many targets were met, and which were not."""
        print(f"\n{self.n_met} of {self.n_met + len(self.missed)} targets met")
        for line in self.missed:
            print(f"  MISSED  {line}")
