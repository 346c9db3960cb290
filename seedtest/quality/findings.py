"""What a check says."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How serious a finding is; the values are a stable contract, as operators filter by them."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


SEVERITY = (Level.ERROR, Level.WARNING, Level.OK)


class Check(StrEnum):
    """The checks by name; the values are a stable contract too."""

    FRESHNESS = "freshness"
    VOLUME = "volume"
    LOST_ANSWERS = "lost-answers"
    LEFT_OUT = "left-out"
    WITHOUT_TOPIC = "without-topic"
    WITHOUT_TIME = "without-time"
    IMPOSSIBLE_TIMES = "impossible-times"
    REPEATED_QUESTIONS = "repeated-questions"
    HASTY_LEARNERS = "hasty-learners"
    CONSTANT_ITEMS = "constant-items"
    ABILITY_RANGE = "ability-range"
    TOPIC_ABILITY_RANGE = "topic-ability-range"
    FEATURE_THETA_RANGE = "feature-theta-range"
    KPI_RANGE = "kpi-range"


@dataclass(frozen=True)
class Finding:
    """What a check found: in a sentence, in numbers, and what to do about it.

    `remedy` is empty where nothing is wrong. No field names a learner.
    """

    check: Check
    level: Level
    summary: str
    detail: str
    remedy: str = ""


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with errors first, then warnings; among equals as they came."""
    return sorted(findings, key=lambda finding: SEVERITY.index(finding.level))


def verdict(findings: Iterable[Finding]) -> str:
    """Return how many findings there are of each level, such as "1 error, 2 warning, 9 ok"."""
    levels = Counter(finding.level for finding in findings)
    return ", ".join(f"{levels[level]} {level}" for level in SEVERITY if levels[level]) or "nothing checked"
