"""Dataclasses that refuse numbers which no report may show: not finite, or out of their range."""

import math
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from seedtest.errors import DataError


@dataclass(frozen=True, slots=True)
class Range:
    """The finite numbers from `low` to `high`, both included."""

    low: float = -math.inf
    high: float = math.inf

    def holds(self, value: float) -> bool:
        """Say whether the value is a finite number in the range."""
        return math.isfinite(value) and self.low <= value <= self.high


Probability = Annotated[float, Range(0, 1)]
Change = Annotated[float, Range(-1, 1)]
Amount = Annotated[float, Range(0)]
Positive = Annotated[float, Range(math.ulp(0.0))]
Count = Annotated[int, Range(0)]


class Checked:
    """Base of frozen dataclasses: every number is finite and in the range that its type states.

    Raises
    ------
    DataError
        When a value is not; it names the field.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, allowed in _ranges(kind):
            value = getattr(self, name)
            if value is not None and not allowed.holds(value):
                raise DataError(
                    f"{type(self).__name__}.{name} is {value}, not a finite number in "
                    f"[{allowed.low:g}, {allowed.high:g}]: check the data it is computed from."
                )


@cache
def _ranges(kind: type[Any]) -> tuple[tuple[str, Range], ...]:
    hints = get_type_hints(kind, include_extras=True)
    found = ((field.name, _range(hints[field.name])) for field in fields(kind))
    return tuple((name, allowed) for name, allowed in found if allowed is not None)


def _range(hint: Any) -> Range | None:  # noqa: ANN401 (any annotation)
    """Return the range of a number's type, or of the number in a union with None."""
    if hint is float:
        return Range()
    if get_origin(hint) is Annotated:
        return next((extra for extra in hint.__metadata__ if isinstance(extra, Range)), None)
    found = (_range(part) for part in get_args(hint) if part is not type(None))
    return next((allowed for allowed in found if allowed), None) if _is_optional(hint) else None


def _is_optional(hint: Any) -> bool:  # noqa: ANN401 (any annotation)
    return type(None) in get_args(hint)
