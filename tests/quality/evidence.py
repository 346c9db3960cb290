"""Evidence for tests: a sound database's, to be changed where a test wants it odd."""

import datetime as dt
from dataclasses import replace
from typing import Any

from seedtest.quality.evidence import (
    COMPARED_DAYS,
    AnswerCounts,
    AnswerEvidence,
    FitItems,
    HastyLearners,
    LeftOut,
    QuestionTopics,
)

LAST_DAY = dt.date(2026, 11, 1)
A_DAY = 1000
END = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)


def day(age: int) -> dt.date:
    """The day so many days before the last."""
    return LAST_DAY - dt.timedelta(days=age)


def sound(**changes: Any) -> AnswerEvidence:
    """A thousand answers a day, all of them sound."""
    return replace(
        AnswerEvidence(
            first_day=LAST_DAY,
            last_day=LAST_DAY,
            answers_by_day={day(age): A_DAY for age in range(COMPARED_DAYS)},
            newest=END - dt.timedelta(hours=1),
            counts=AnswerCounts(n_results=100, n_elements=A_DAY, n_answers=A_DAY),
            left_out=LeftOut(),
            hasty=HastyLearners(),
            topics=QuestionTopics(50, 50),
            fit=FitItems("fit-2026-11-01T03:00:00Z", 50, 0, 0),
            n_recorded=6 * A_DAY,
        ),
        **changes,
    )


def counts(**changes: int) -> AnswerEvidence:
    """Sound evidence with these counts of the run's days."""
    evidence = sound()
    return replace(evidence, counts=replace(evidence.counts, **changes))


def volumes(**answers: int) -> AnswerEvidence:
    """Sound evidence with these answers on days named by age, such as ``d0=5``."""
    evidence = sound()
    odd = {day(int(name[1:])): n for name, n in answers.items()}
    return replace(evidence, answers_by_day={**evidence.answers_by_day, **odd})
