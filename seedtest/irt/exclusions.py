"""What a calibration left out and why."""

from dataclasses import dataclass
from enum import StrEnum

ALL_RIGHT = "all answers are right"
ALL_WRONG = "all answers are wrong"
"""Why an item that everybody answers alike is left out: its difficulty is at ∓∞."""


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
