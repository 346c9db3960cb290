"""What the answers are like, at the boundaries of each check."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from seedtest.quality import AnswerEvidence, Check, Finding, Level, by_severity, check_answers, verdict
from seedtest.quality.answers import (
    constant_items,
    hasty_learners,
    impossible_times,
    left_out,
    repeated_questions,
    without_time,
    without_topic,
)
from seedtest.quality.evidence import (
    AnswerCounts,
    FitItems,
    HastyLearners,
    LeftOut,
    QuestionTopics,
    Repeats,
)
from tests.quality.evidence import counts, sound

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR


@pytest.mark.parametrize(
    ("check", "evidence", "level"),
    [
        (without_time, counts(n_without_time=200), OK),
        (without_time, counts(n_without_time=201), WARNING),
        (without_time, counts(n_without_time=1000), WARNING),
        (impossible_times, counts(n_impossible_times=1), OK),
        (impossible_times, counts(n_impossible_times=2), WARNING),
        (impossible_times, counts(n_impossible_times=99), WARNING),
        (impossible_times, counts(n_impossible_times=100), ERROR),
        # Of fewer than a thousand known times.
        (impossible_times, counts(n_impossible_times=999, n_without_time=1), WARNING),
        (repeated_questions, sound(repeats=Repeats(1000, 10)), OK),
        (repeated_questions, sound(repeats=Repeats(1000, 11)), WARNING),
        (hasty_learners, sound(hasty=HastyLearners(1, 10)), OK),
        (hasty_learners, sound(hasty=HastyLearners(1, 11)), WARNING),
        (constant_items, sound(fit=None), OK),
        (constant_items, sound(fit=FitItems("fit", 100, 1, 0)), OK),
        (constant_items, sound(fit=FitItems("fit", 100, 2, 0)), WARNING),
        (constant_items, sound(fit=FitItems("fit", 5000, 0, 1)), WARNING),
        (without_topic, sound(n_without_topic=50), OK),
        (without_topic, sound(n_without_topic=51), WARNING),
        (left_out, sound(left_out=LeftOut(n_without_user=1)), OK),
        (left_out, sound(left_out=LeftOut(n_without_user=2)), WARNING),
        (left_out, sound(left_out=LeftOut(n_failed=11)), OK),
        (left_out, sound(left_out=LeftOut(n_failed=12)), WARNING),
        (left_out, counts(n_without_list=1), OK),
        (left_out, counts(n_without_list=2), WARNING),
        (left_out, counts(n_elements=1010), OK),
        (left_out, counts(n_elements=1011), WARNING),
    ],
)
def test_each_check_at_its_boundary(
    check: Callable[[AnswerEvidence], Finding], evidence: AnswerEvidence, level: Level
) -> None:
    finding = check(evidence)
    assert finding.level is level
    assert bool(finding.remedy) == (level is not OK)


@pytest.mark.parametrize(("n_with_topic", "level"), [(0, WARNING), (94, WARNING), (95, OK), (100, OK)])
def test_answers_without_a_topic_of_their_own_may_find_their_questions(
    n_with_topic: int, level: Level
) -> None:
    evidence = replace(counts(n_without_topic=1000), topics=QuestionTopics(100, n_with_topic))
    assert without_topic(evidence).level is level
    assert without_topic(evidence).detail.startswith("at most 1,000 of 1,000 answers, about ")


def test_without_questions_there_is_no_topic_to_fall_back_on() -> None:
    evidence = replace(counts(n_without_topic=51), topics=QuestionTopics())
    assert without_topic(evidence).level is WARNING


def test_a_real_count_of_answers_without_a_topic_goes_before_the_estimate() -> None:
    evidence = replace(counts(n_without_topic=1000), topics=QuestionTopics(), n_without_topic=3)
    finding = without_topic(evidence)
    assert (finding.level, finding.detail) == (OK, "3 of 1,000 answers (0.30%)")


def test_what_is_left_out_is_named_by_reason() -> None:
    evidence = replace(
        counts(n_without_list=5, n_elements=1020), left_out=LeftOut(n_without_user=3, n_failed=40)
    )
    finding = left_out(evidence)
    assert finding.summary == (
        "Many are left out: results without a user_id or a list of questions, results with status failed, "
        "answers without a question_id."
    )
    assert finding.detail == (
        "of 143 results: 3 without user_id, 40 failed, 5 whose questions are no list; of 1,020 answers: "
        "20 without question_id"
    )


def test_hasty_learners_are_counted_and_not_named() -> None:
    finding = hasty_learners(sound(hasty=HastyLearners(3, 120)))
    assert finding.summary == "3 learners answer faster than anybody reads, 12.0% of all answers."
    assert "120 of 1,000 answers" in finding.detail


def test_sound_answers_pass_every_check_before_a_stage() -> None:
    findings = check_answers(sound())
    assert {finding.level for finding in findings} == {OK}
    assert [finding.check for finding in findings] == list(Check)[:10]


def test_no_answers_are_no_error() -> None:
    empty = sound(
        answers_by_day={},
        newest=None,
        counts=AnswerCounts(),
        topics=QuestionTopics(),
        fit=None,
        n_recorded=0,
    )
    odd = [finding.check for finding in check_answers(empty) if finding.level is not OK]
    assert odd == [Check.FRESHNESS]


def test_levels_and_checks_are_a_stable_contract() -> None:
    assert [level.value for level in Level] == ["ok", "warning", "error"]
    assert [check.value for check in Check] == [
        "freshness",
        "volume",
        "lost-answers",
        "left-out",
        "without-topic",
        "without-time",
        "impossible-times",
        "repeated-questions",
        "hasty-learners",
        "constant-items",
        "ability-range",
        "topic-ability-range",
        "feature-theta-range",
        "kpi-range",
    ]


def test_the_most_serious_findings_stand_first() -> None:
    findings = [
        Finding(check, level, "", "") for check, level in zip(Check, [OK, WARNING, ERROR, OK], strict=False)
    ]
    assert [finding.level for finding in by_severity(findings)] == [ERROR, WARNING, OK, OK]
    assert verdict(findings) == "1 error, 1 warning, 2 ok"
    assert verdict([]) == "nothing checked"
