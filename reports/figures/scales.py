"""From values to px, and round values to mark on an axis."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

_STEPS = (1, 2, 5, 10)
_DECIMALS = 9
"""Sums of steps stray in the last bits."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale: values from `low` to `high` lie from `start_px` to `end_px`."""

    low: float
    high: float
    start_px: float
    end_px: float

    def __call__(self, value: float) -> float:
        """Return the value's place in px; values beyond the scale lie at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start_px + share * (self.end_px - self.start_px)

    def holds(self, value: float) -> bool:
        """Say whether the value lies on the scale."""
        return self.low <= value <= self.high


def ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return at most about `most` round values, the first at or below `low`, the last at or above `high`."""
    found = MaxNLocator(most - 1, steps=_STEPS).tick_values(low, high)
    return tuple(np.round(found, _DECIMALS).tolist())


def spanning(
    values: Iterable[float], start_px: float, end_px: float, *, most: int, at_least: float = 0
) -> tuple[Scale, tuple[float, ...]]:
    """Return a scale that holds the values, from and to a round value, and its round values.

    It spans `at_least` so much, that small differences are not drawn as large ones.
    """
    held = tuple(values)
    low, high = min(held), max(held)
    lacking = max(at_least - (high - low), 0) / 2
    marked = ticks(low - lacking, high + lacking, most)
    return Scale(marked[0], marked[-1], start_px, end_px), marked


def decimals(marked: Sequence[float]) -> int:
    """Return how many decimals tell the round values from each other."""
    return next((n for n in range(_DECIMALS) if all(round(at, n) == at for at in marked)), _DECIMALS)
