"""What a calibration left out and why."""

from dataclasses import dataclass
from enum import StrEnum


class ExclusionKind(StrEnum):
    """What was left out."""

    ITEM = "item"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An item or learner left out, the reason in words, and the answers it had."""

    kind: ExclusionKind
    id: str
    reason: str
    n: int
