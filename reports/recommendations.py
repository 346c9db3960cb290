"""What a report recommends, from the numbers alone: at most five, the most pressing kind first.

The thresholds are here, each beside its reason; the texts are the catalogues', by `AdviceKind`.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reports.advice import (
    BehindGoal,
    ItemsAboutRight,
    NoAdvice,
    Recommendation,
    Reference,
    RegularPractice,
    Rest,
    ReviewMissed,
    WeakTopic,
)
from reports.model import CandidateItem, Counts, Goal, GoalStatus, PracticeDay, Topic
from seedtest.kpis import MIN_ANSWERS_FOR_THETA

MOST_RECOMMENDATIONS = 5
MOST_GOALS = 2
MOST_WEAK_TOPICS = 2
MOST_ITEMS = 5
"""Items that one recommendation names."""

MIN_TOPIC_ANSWERS = MIN_ANSWERS_FOR_THETA
"""Counted answers from which a topic's θ is judged, as I_t judges one."""
MIN_TOPIC_GAP = 0.3
"""Logits below what is to be expected from which a topic is weak, if they are also more than its SE."""
REVIEW_DAYS = 28
"""Days in which a wrong answer calls for a review, R_t's window."""
OVERDUE_WEEKS = 8
"""Weeks for which a report reminds of a goal whose day has passed."""
GAP_GROWTH = 1.5
"""Growth of the days between practice that counts as rarer."""
MIN_GAP_DAYS = 2.0
"""Days between practice up to which it is regular, whatever it was before."""
SILENT_DAYS = 7
"""Days without practice that count whatever was before: the whole week."""


@dataclass(frozen=True)
class Facts:
    """What recommendations rest on.

    Attributes
    ----------
    theta
        The learner's θ, None when unknown.
    theta_mean
        Of all learners on the same scale.
    answered
        Rows of `measures.item_rows`: each item of the eight weeks by its last answer.
    starters
        Items to begin with in a topic, given the topic's id and the θ in it.
    """

    week_end: dt.date
    theta: float | None
    theta_mean: float
    topics: Sequence[Topic]
    goals: Sequence[Goal]
    days: Sequence[PracticeDay]
    counts: Counts
    answered: Sequence[Mapping[str, Any]]
    candidates: Sequence[CandidateItem]
    starters: Callable[[str, float], tuple[str, ...]]


def recommend(facts: Facts) -> tuple[tuple[Recommendation, ...], NoAdvice | None]:
    """Return the recommendations, the most pressing first, or why there are none."""
    goals, rarer = _behind_goals(facts), _regular_practice(facts)
    asked_for = {goal.topic_id for goal in goals}
    weak = [topic for topic in _weak_topics(facts) if topic.topic_id not in asked_for]
    rest = [] if goals or weak or rarer else _rest(facts)
    found: tuple[Recommendation, ...] = (*goals, *weak, *_review(facts), *rarer, *rest, *_about_right(facts))
    if found:
        return found[:MOST_RECOMMENDATIONS], None
    return (), NoAdvice.TOO_FEW_ANSWERS if facts.answered else NoAdvice.NO_ANSWERS


def _behind_goals(facts: Facts) -> list[BehindGoal]:
    """Goals, in their order, that the shown pace does not reach or whose day has just passed."""
    found = []
    for goal in facts.goals:
        behind = goal.status is GoalStatus.BEHIND
        missed = goal.status is GoalStatus.OVERDUE and (goal.weeks_left or 0.0) >= -OVERDUE_WEEKS
        if not (behind or missed) or goal.theta is None or goal.target_level is None:
            continue
        if goal.target_date is None or goal.weeks_left is None:
            continue
        found.append(
            BehindGoal(
                topic_id=goal.topic_id,
                theta=goal.theta,
                target_level=goal.target_level,
                target_date=goal.target_date,
                weeks_left=goal.weeks_left,
                needed_per_week=goal.needed_per_week,
                shown_per_week=goal.shown_per_week,
                shown_se=goal.shown_se,
                probability=goal.probability,
            )
        )
    return found[:MOST_GOALS]


def _weak_topics(facts: Facts) -> list[WeakTopic]:
    """Topics below the learner's own level or, for a learner below the mean, below the mean of all."""
    judged = (_against_reference(topic, facts) for topic in facts.topics if topic.n >= MIN_TOPIC_ANSWERS)
    weak = [topic for topic in judged if topic and topic.gap >= max(MIN_TOPIC_GAP, topic.se)]
    weak.sort(key=lambda topic: (-topic.gap, topic.topic_id))
    return [
        replace(topic, item_ids=facts.starters(topic.topic_id, topic.theta))
        for topic in weak[:MOST_WEAK_TOPICS]
    ]


def _against_reference(topic: Topic, facts: Facts) -> WeakTopic | None:
    """Return how far θ in a topic lies below what is to be expected; None where it does not, or is unknown.

    Of a learner at the mean the mean is expected, however few the answers.
    """
    reference, expected, kind = facts.theta_mean, facts.theta_mean, Reference.COHORT
    if facts.theta is not None and topic.expected_theta is not None and facts.theta > reference:
        reference, expected, kind = facts.theta, topic.expected_theta, Reference.OWN
    if topic.theta is None or topic.se is None or topic.theta > expected:
        return None
    return WeakTopic(
        topic_id=topic.topic_id,
        theta=topic.theta,
        se=topic.se,
        n=topic.n,
        reference=kind,
        reference_theta=reference,
        expected_theta=expected,
        gap=expected - topic.theta,
        item_ids=(),
    )


def _review(facts: Facts) -> list[ReviewMissed]:
    """Items answered lately whose last answer was wrong: not recovered yet, the newest first."""
    since = facts.week_end - dt.timedelta(days=REVIEW_DAYS - 1)
    lately = [row for row in facts.answered if row["answered_at"].date() >= since]
    missed = [row for row in lately if not row["correct"]]
    if not missed:
        return []
    missed.sort(key=lambda row: row["answered_at"], reverse=True)
    item_ids = tuple(row["item_id"] for row in missed[:MOST_ITEMS])
    return [ReviewMissed(item_ids, n_missed=len(missed), n_answered=len(lately), days=REVIEW_DAYS)]


def _regular_practice(facts: Facts) -> list[RegularPractice]:
    """Say so when days of practice have become rarer, or the week had none."""
    practised = [day.date for day in facts.days if day.attempts]
    if not practised:
        return []
    half = facts.week_end - dt.timedelta(days=len(facts.days) // 2)
    n_recent = sum(day > half for day in practised)
    span = len(facts.days) / 2
    gap, gap_before = (span / n if n else None for n in (n_recent, len(practised) - n_recent))
    since_last = (facts.week_end - practised[-1]).days
    is_rarer = gap and gap_before and gap > MIN_GAP_DAYS and gap >= GAP_GROWTH * gap_before
    if not is_rarer and since_last < SILENT_DAYS:
        return []
    return [RegularPractice(gap, gap_before, days_since_last=since_last, active_days=n_recent)]


def _rest(facts: Facts) -> list[Rest]:
    """With no topic weak, no goal behind and practice regular: the topics with answers enough to tell."""
    judged = [topic for topic in facts.topics if topic.n >= MIN_TOPIC_ANSWERS]
    if not judged:
        return []
    return [Rest(len(judged), attempts=facts.counts.attempts, correct=facts.counts.correct)]


def _about_right(facts: Facts) -> list[ItemsAboutRight]:
    if facts.theta is None or not facts.candidates:
        return []
    chosen = facts.candidates[:MOST_ITEMS]
    expected = [item.expected for item in chosen]
    return [
        ItemsAboutRight(tuple(item.item_id for item in chosen), facts.theta, min(expected), max(expected))
    ]
