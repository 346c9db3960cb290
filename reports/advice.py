"""The kinds of recommendation, each with the numbers that state its reason; texts are the catalogues'."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from reports.checked import Amount, Checked, Count, Probability


class AdviceKind(StrEnum):
    """What a recommendation asks for."""

    WEAK_TOPIC = "weak_topic"
    REVIEW_MISSED = "review_missed"
    BEHIND_GOAL = "behind_goal"
    ITEMS_ABOUT_RIGHT = "items_about_right"
    REGULAR_PRACTICE = "regular_practice"
    REST = "rest"


class NoAdvice(StrEnum):
    """Why a report recommends nothing."""

    NO_ANSWERS = "no_answers"
    """No answer in the eight weeks."""
    TOO_FEW_ANSWERS = "too_few_answers"
    """Not enough of them to tell weak from strong."""


class Reference(StrEnum):
    """What a topic's θ is low against, the higher of the two."""

    OWN = "own"
    """The learner's θ over all topics."""
    COHORT = "cohort"
    """The mean of all learners."""


@dataclass(frozen=True, slots=True)
class WeakTopic(Checked):
    """θ in the topic is low: `gap` logits below `expected_theta`, from `n` counted answers.

    That is the EAP to be expected of such answers at the reference, `levels.expected_eap`. `item_ids` are
    items of the topic about right to begin with; there may be none.
    """

    kind: ClassVar = AdviceKind.WEAK_TOPIC
    topic_id: str
    theta: float
    se: Amount
    n: Count
    reference: Reference
    reference_theta: float
    expected_theta: float
    gap: Amount
    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReviewMissed(Checked):
    """Items whose last answer in the last `days` days was wrong, `n_missed` of `n_answered` items."""

    kind: ClassVar = AdviceKind.REVIEW_MISSED
    item_ids: tuple[str, ...]
    n_missed: Count
    n_answered: Count
    days: Count


@dataclass(frozen=True, slots=True)
class BehindGoal(Checked):
    """A goal whose needed pace (logits a week) is above the shown one by more than its SE, or overdue.

    `needed_per_week` is None where the day has passed, the shown pace where none has shown.
    """

    kind: ClassVar = AdviceKind.BEHIND_GOAL
    topic_id: str
    theta: float
    target_level: float
    target_date: dt.date
    weeks_left: float
    needed_per_week: Amount | None
    shown_per_week: float | None
    shown_se: Amount | None
    probability: Probability | None


@dataclass(frozen=True, slots=True)
class ItemsAboutRight(Checked):
    """Items at about 70 % expected success: from `expected_low` to `expected_high` at θ."""

    kind: ClassVar = AdviceKind.ITEMS_ABOUT_RIGHT
    item_ids: tuple[str, ...]
    theta: float
    expected_low: Probability
    expected_high: Probability


@dataclass(frozen=True, slots=True)
class RegularPractice(Checked):
    """Days of practice have become rarer, or none was this week.

    `gap_days` is the days of the last four weeks for each day of practice in them, `active_days`;
    `gap_before_days` that of the four weeks before; None without such a day.
    """

    kind: ClassVar = AdviceKind.REGULAR_PRACTICE
    gap_days: Amount | None
    gap_before_days: Amount | None
    days_since_last: Count
    active_days: Count


@dataclass(frozen=True, slots=True)
class Rest(Checked):
    """Nothing is weak: `n_topics` topics with answers enough, `correct` of `attempts` right this week."""

    kind: ClassVar = AdviceKind.REST
    n_topics: Count
    attempts: Count
    correct: Count


Recommendation = WeakTopic | ReviewMissed | BehindGoal | ItemsAboutRight | RegularPractice | Rest
