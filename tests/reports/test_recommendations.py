"""Recommendations from the numbers alone: what is weak, missed, behind or rare, and why."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.advice import (
    AdviceKind,
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
from reports.levels import expected_eap
from reports.model import CandidateItem, Counts, Goal, GoalStatus, PaceOf, PracticeDay, Topic
from reports.period import Period
from reports.recommendations import MOST_RECOMMENDATIONS, Facts, recommend
from tests.reports.empty import MONDAY

PERIOD = Period(MONDAY)
SUNDAY = PERIOD.week_end
NOON = dt.datetime.combine(SUNDAY, dt.time(12), dt.UTC)


def topic(
    topic_id: str, theta: float | None, se: float | None = 0.2, n: int = 20, expected: float | None = 0.5
) -> Topic:
    return Topic(topic_id, n, n, n, 1.0, 0.8, 1.0, theta, se, n, expected, None, None, NOON)


def item(item_id: str, correct: bool, days_ago: int = 0) -> dict[str, Any]:
    return {"item_id": item_id, "correct": correct, "answered_at": NOON - dt.timedelta(days=days_ago)}


def goal(topic_id: str = "algebra", status: GoalStatus = GoalStatus.BEHIND, **changes: Any) -> Goal:
    weeks_left = changes.pop("weeks_left", 4.0)
    values: dict[str, Any] = {
        "target_level": 1.0,
        "target_score": None,
        "target_date": SUNDAY + dt.timedelta(days=int(7 * weeks_left)),
        "priority": 0,
        "theta": 0.2,
        "se": 0.2,
        "probability": 0.01,
        "weeks_left": weeks_left,
        "needed_per_week": 0.2 if weeks_left > 0 else None,
        "shown_per_week": 0.05,
        "shown_se": 0.1,
        "shown_of": PaceOf.TOPIC,
    }
    return Goal(topic_id=topic_id, status=status, **values | changes)


def days(*days_ago: int) -> tuple[PracticeDay, ...]:
    practised = {SUNDAY - dt.timedelta(days=n) for n in days_ago}
    return tuple(PracticeDay(day, 10 * (day in practised), 0, 0.0) for day in PERIOD.days)


EVERY_THIRD_DAY = days(*range(0, 56, 3))


def facts(**changes: Any) -> Facts:
    """A learner who practises regularly and of whom nothing else is known."""
    base = Facts(
        week_end=SUNDAY,
        theta=0.5,
        theta_mean=0.0,
        topics=(),
        goals=(),
        days=EVERY_THIRD_DAY,
        counts=Counts(20, 15, 2, 2, 30.0),
        answered=[item("Q1", correct=True)],
        candidates=(),
        starters=lambda topic_id, theta: (f"{topic_id} at {theta}",),
    )
    return dataclasses.replace(base, **changes)


def found(**changes: Any) -> Sequence[Recommendation]:
    return recommend(facts(**changes))[0]


def kinds(**changes: Any) -> list[AdviceKind]:
    return [advice.kind for advice in found(**changes)]


# -- topics ----------------------------------------------------------------------------------------


def test_a_topic_below_the_learners_own_level_is_weak() -> None:
    topics = (topic("algebra", -0.1), topic("geometry", 0.4))
    (advice,) = found(topics=topics)
    assert advice == WeakTopic(
        "algebra", -0.1, 0.2, 20, Reference.OWN, 0.5, 0.5, 0.6, item_ids=("algebra at -0.1",)
    )


def test_a_topic_that_only_leans_towards_the_mean_is_not_weak() -> None:
    """Of a strong learner every topic of few answers lies below θ over all topics, however well it goes."""
    theta, mean, sd = 2.01, 0.49, 0.8
    leaning = [
        topic(name, expected_eap(theta, se, mean, sd), se, expected=expected_eap(theta, se, mean, sd))
        for name, se in (("a", 0.3), ("b", 0.5), ("c", 0.7))
    ]
    assert AdviceKind.WEAK_TOPIC not in kinds(theta=theta, theta_mean=mean, topics=leaning)


def test_a_strong_learners_topic_is_weak_below_what_its_answers_let_expect() -> None:
    (advice,) = found(theta=2.0, topics=(topic("algebra", 0.4, 0.4, expected=1.4),))
    assert isinstance(advice, WeakTopic)
    assert (advice.reference, advice.reference_theta, advice.expected_theta) == (Reference.OWN, 2.0, 1.4)
    assert advice.gap == pytest.approx(1.0)


def test_for_a_learner_below_the_mean_a_topic_is_weak_against_all() -> None:
    (advice,) = found(theta=-1.0, topics=(topic("algebra", -1.0),))
    assert isinstance(advice, WeakTopic)
    assert (advice.reference, advice.reference_theta, advice.gap) == (Reference.COHORT, 0.0, 1.0)
    assert advice.expected_theta == 0.0


@pytest.mark.parametrize(
    ("weak", "why_not"),
    [
        (topic("algebra", -2.0, n=4), "too few answers"),
        (topic("algebra", -0.1, se=0.7), "the gap is within the SE"),
        (topic("algebra", 0.25), "the gap is small"),
        (topic("algebra", None, None, n=0), "no θ"),
        (topic("algebra", -2.0, se=None), "no SE"),
    ],
)
def test_a_topic_is_not_called_weak_without_evidence(weak: Topic, why_not: str) -> None:
    assert AdviceKind.WEAK_TOPIC not in kinds(topics=(weak,)), why_not


def test_the_two_weakest_topics_come_the_weakest_first() -> None:
    topics = [topic(name, theta) for name, theta in (("b", -1.0), ("a", -1.0), ("c", -2.0), ("d", -0.5))]
    assert [advice.topic_id for advice in found(topics=topics) if isinstance(advice, WeakTopic)] == ["c", "a"]


def test_a_topic_with_a_goal_behind_is_not_named_twice() -> None:
    assert kinds(topics=(topic("algebra", -1.0),), goals=(goal("algebra"),)) == [AdviceKind.BEHIND_GOAL]


# -- review ----------------------------------------------------------------------------------------


def test_items_missed_lately_call_for_a_review_the_newest_first() -> None:
    answered = [item(f"Q{n}", correct=n % 2 == 0, days_ago=n) for n in range(12)]
    (advice,) = found(answered=answered)
    assert advice == ReviewMissed(("Q1", "Q3", "Q5", "Q7", "Q9"), n_missed=6, n_answered=12, days=28)


def test_an_old_miss_is_no_review() -> None:
    assert kinds(answered=[item("Q1", correct=False, days_ago=27)]) == [AdviceKind.REVIEW_MISSED]
    assert kinds(answered=[item("Q1", correct=False, days_ago=28)]) == []


# -- goals -----------------------------------------------------------------------------------------


def test_a_goal_behind_its_pace_states_both_paces() -> None:
    (advice,) = found(goals=(goal(),))
    assert isinstance(advice, BehindGoal)
    assert (advice.needed_per_week, advice.shown_per_week, advice.shown_se) == (0.2, 0.05, 0.1)


@pytest.mark.parametrize("status", [GoalStatus.REACHED, GoalStatus.ON_PACE, GoalStatus.OPEN])
def test_other_goals_are_left_in_peace(status: GoalStatus) -> None:
    assert kinds(goals=(goal(status=status),)) == []


def test_a_goal_whose_day_has_passed_is_reminded_of_for_eight_weeks() -> None:
    assert kinds(goals=(goal(status=GoalStatus.OVERDUE, weeks_left=-8.0),)) == [AdviceKind.BEHIND_GOAL]
    assert kinds(goals=(goal(status=GoalStatus.OVERDUE, weeks_left=-9.0),)) == []


# -- regularity and rest ---------------------------------------------------------------------------


def test_rarer_practice_is_named_with_both_gaps() -> None:
    (advice,) = found(days=days(2, 20, *range(28, 56, 4)))
    assert advice == RegularPractice(gap_days=14.0, gap_before_days=4.0, days_since_last=2, active_days=2)


def test_a_week_without_practice_is_named_whatever_was_before() -> None:
    assert kinds(days=days(7)) == [AdviceKind.REGULAR_PRACTICE]
    assert kinds(days=days(6)) == []


def test_a_month_without_practice_has_no_days_between() -> None:
    (advice,) = found(days=days(*range(29, 56, 4)))
    assert advice == RegularPractice(gap_days=None, gap_before_days=4.0, days_since_last=29, active_days=0)


def test_practice_every_other_day_is_regular_enough() -> None:
    assert kinds(days=days(*range(0, 28, 2), *range(28, 56))) == []


def test_with_nothing_weak_comes_a_rest() -> None:
    (advice,) = found(topics=(topic("algebra", 0.6), topic("thin", 0.6, n=2)))
    assert advice == Rest(n_topics=1, attempts=20, correct=15)


def test_no_rest_where_something_is_weak() -> None:
    assert AdviceKind.REST not in kinds(topics=(topic("algebra", -1.0), topic("geometry", 1.0)))


# -- all together ----------------------------------------------------------------------------------


def test_items_about_right_need_theta() -> None:
    candidates = [CandidateItem(f"Q{n}", "algebra", 1.0, 0.0, 0.0, 0.7 - n / 100) for n in range(9)]
    (advice,) = found(candidates=candidates)
    assert isinstance(advice, ItemsAboutRight)
    assert advice.item_ids == ("Q0", "Q1", "Q2", "Q3", "Q4")
    assert advice.expected_high == 0.7
    assert advice.expected_low == pytest.approx(0.66)
    assert kinds(candidates=candidates, theta=None) == []


def test_without_recommendations_the_reason_is_named() -> None:
    assert recommend(facts()) == ((), NoAdvice.TOO_FEW_ANSWERS)
    assert recommend(facts(answered=[], days=days())) == ((), NoAdvice.NO_ANSWERS)


topics_drawn = st.lists(
    st.builds(
        topic,
        st.sampled_from("abcdef"),
        st.none() | st.floats(-3, 3),
        st.none() | st.floats(0, 2),
        st.integers(0, 50),
    ),
    unique_by=lambda drawn: drawn.topic_id,
)
goals_drawn = st.lists(
    st.builds(goal, st.sampled_from("abcdef"), st.sampled_from(GoalStatus)),
    max_size=4,
    unique_by=lambda drawn: drawn.topic_id,
)
items_drawn = st.lists(
    st.builds(item, st.sampled_from("QRSTUVW"), st.booleans(), st.integers(0, 55)),
    unique_by=lambda drawn: drawn["item_id"],
)
days_drawn = st.lists(st.integers(0, 55)).map(lambda drawn: days(*drawn))


@given(topics_drawn, goals_drawn, items_drawn, days_drawn, st.none() | st.floats(-3, 3))
def test_there_are_at_most_five_in_a_fixed_order_or_a_reason_for_none(
    topics: list[Topic],
    goals: list[Goal],
    answered: list[dict[str, Any]],
    practice: tuple[PracticeDay, ...],
    theta: float | None,
) -> None:
    given_facts = facts(topics=topics, goals=goals, answered=answered, days=practice, theta=theta)
    advice, reason = recommend(given_facts)
    assert (advice, reason) == recommend(given_facts)
    assert len(advice) <= MOST_RECOMMENDATIONS
    assert bool(advice) == (reason is None)
    order = list(AdviceKind)
    ranks = [RANK[each.kind] for each in advice]
    assert ranks == sorted(ranks)
    assert set(order) == set(RANK)


RANK = {
    AdviceKind.BEHIND_GOAL: 0,
    AdviceKind.WEAK_TOPIC: 1,
    AdviceKind.REVIEW_MISSED: 2,
    AdviceKind.REGULAR_PRACTICE: 3,
    AdviceKind.REST: 4,
    AdviceKind.ITEMS_ABOUT_RIGHT: 5,
}
