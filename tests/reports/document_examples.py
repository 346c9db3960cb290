"""Reports to render: a rich one, and learners whose data is awkward."""

import datetime as dt
from dataclasses import replace

from reports.advice import BehindGoal, ItemsAboutRight, Reference, RegularPractice, ReviewMissed, WeakTopic
from reports.levels import Level
from reports.model import (
    Ability,
    AbilitySource,
    CandidateItem,
    Counts,
    Goal,
    GoalStatus,
    Items,
    LinkedFit,
    PaceOf,
    WeeklyReport,
)
from seedtest.settings import Language
from tests.reports.figures_examples import NOON, TOPICS, full_report

HOSTILE = (
    "<script>alert(1)</script>",
    "*별* _밑줄_ `코드` ~~취소~~ [링크](https://a.example) ![그림](x.png)",
    "#set text(fill: red) $x^2$ @label <tag> \\ \"따옴표\" '작은' // 주석",
    "{{ 7 * 7 }} {% if x %} {# 말 #} {{< include /etc/passwd >}} ${HOME}",
    "\\textbf{굵게} & %주석 ^위 _아래 \\input{/etc/passwd}",
    "שלום עולם مرحبا بالعالم",
    "수학 😀 ❤ ✓ 기하",
    "한 줄\n둘째 줄\r\n| 표 | 칸 |\n---\n# 제목",
    "= 제목 - 목록 + 번호 / 용어: 1. 첫째 --- ... `` ~ http://a.example/b",
    "a" * 120,
)
"""Texts in the languages of everything that a report passes through on its way."""


def rich_report(language: Language = "ko") -> WeeklyReport:
    """A learner with something in every section."""
    report = full_report(language)
    fit = LinkedFit(
        run_id="fit-2025-11-02T04:15:23Z",
        fitted_at=NOON,
        last_day=dt.date(2025, 11, 1),
        model="2PL",
        version="v1",
        scale="anchors",
        method="mean-sigma",
        slope=1.0234,
        intercept=-0.0412,
        reason=None,
        n_anchors=24,
        n_items=312,
        n_users=1840,
        theta_mean=0.03,
        theta_sd=1.02,
    )
    return replace(
        report,
        items=Items(report.items.answered, candidates()),
        goals=goals(),
        linking=fit,
        no_advice=None,
        recommendations=(
            WeakTopic(TOPICS[2], -0.41, 0.31, 22, Reference.OWN, 0.62, 0.57, 0.98, ("Q17", "Q203", "Q88")),
            behind_goal(),
            ReviewMissed(("Q5", "Q41", "Q77", "Q102"), 4, 37, 14),
            ItemsAboutRight(("Q17", "Q203", "Q88", "Q290"), 0.62, 0.66, 0.74),
            RegularPractice(3.1, 2.2, 2, 9),
        ),
        answers_without_topic=3,
        counts=Counts(42, 31, 5, 4, 63.4),
        data=replace(report.data, first_answer_at=NOON - dt.timedelta(days=55), last_answer_at=NOON),
    )


def candidates() -> tuple[CandidateItem, ...]:
    """Items about right for θ = 0.62."""
    return tuple(
        CandidateItem(f"Q{200 + n}", TOPICS[n % 3], 1.0, -0.2 + 0.02 * n, 0.0, 0.7 - 0.005 * n)
        for n in range(9)
    )


def behind_goal() -> BehindGoal:
    """The recommendation for the first goal."""
    return BehindGoal(
        topic_id=TOPICS[0],
        theta=0.31,
        target_level=1.0,
        target_date=dt.date(2025, 12, 15),
        weeks_left=6.1,
        needed_per_week=0.11,
        shown_per_week=0.04,
        shown_se=0.02,
        probability=0.01,
    )


def goals() -> tuple[Goal, ...]:
    """Goals in several states."""
    behind = Goal(
        topic_id=TOPICS[0],
        status=GoalStatus.BEHIND,
        target_level=1.0,
        target_score=None,
        target_date=dt.date(2025, 12, 15),
        priority=2,
        theta=0.31,
        se=0.3,
        probability=0.01,
        weeks_left=6.1,
        needed_per_week=0.11,
        shown_per_week=0.04,
        shown_se=0.02,
        shown_of=PaceOf.TOPIC,
    )
    return (
        behind,
        replace(
            behind,
            topic_id=TOPICS[1],
            status=GoalStatus.REACHED,
            target_score=80.0,
            theta=1.3,
            probability=0.8,
        ),
        replace(behind, topic_id=TOPICS[3], status=GoalStatus.UNKNOWN, theta=None, se=None, probability=None),
        replace(behind, topic_id=TOPICS[4], status=GoalStatus.OVERDUE, target_date=dt.date(2025, 10, 1)),
    )


def with_a_goal_in(topic_id: str, language: Language = "ko") -> WeeklyReport:
    """The rich report with a goal in another topic."""
    report = rich_report(language)
    return replace(report, goals=(replace(report.goals[0], topic_id=topic_id), *report.goals[1:]))


def hostile_report(text: str, language: Language = "ko") -> WeeklyReport:
    """A learner whose id, topics, items and goals are all the text."""
    report = rich_report(language)
    answered = tuple(replace(item, item_id=text, topic_id=text) for item in report.items.answered[:5])
    offered = tuple(replace(item, item_id=text, topic_id=text) for item in report.items.candidates[:2])
    weak, goal, *_ = report.recommendations
    assert isinstance(weak, WeakTopic)
    assert isinstance(goal, BehindGoal)
    return replace(
        report,
        user_id=text,
        items=Items(answered, offered),
        topics=tuple(replace(topic, topic_id=text) for topic in report.topics[:2]),
        goals=tuple(replace(each, topic_id=text) for each in report.goals[:1]),
        recommendations=(replace(weak, topic_id=text, item_ids=(text,)), replace(goal, topic_id=text)),
    )


def many_topics(language: Language = "ko", n_topics: int = 200) -> WeeklyReport:
    """A learner with answers in very many topics."""
    report = rich_report(language)
    topics = report.topics
    return replace(
        report,
        topics=tuple(
            replace(topics[n % len(topics)], topic_id=f"{topics[n % len(topics)].topic_id} {n + 1}")
            for n in range(n_topics)
        ),
    )


def without_se(language: Language = "ko") -> WeeklyReport:
    """A learner whose θ has no known uncertainty."""
    ability = Ability(-1.7, None, 0.04, Level.BEGINNING, "2PL", "v1", NOON, AbilitySource.ANSWERS)
    return replace(rich_report(language), ability=ability)
