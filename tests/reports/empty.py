"""The report of a learner of whom nothing is known, to build others on."""

import datetime as dt

from reports.advice import NoAdvice
from reports.model import (
    AbilityTrend,
    Counts,
    DataDates,
    Items,
    Kpis,
    PracticeDay,
    WeekKpis,
    WeeklyReport,
    WeekResponseTime,
)
from reports.period import Period
from seedtest.settings import Language

MONDAY = dt.date(2026, 10, 26)
COMPUTED_AT = dt.datetime(2026, 11, 2, 2, 10, tzinfo=dt.UTC)


def empty_report(language: Language = "ko", user_id: str = "ann") -> WeeklyReport:
    period = Period(MONDAY)
    return WeeklyReport(
        user_id=user_id,
        week_start=MONDAY,
        language=language,
        kpi_history=tuple(WeekKpis(week, Kpis()) for week in period.weeks),
        ability=None,
        ability_trend=AbilityTrend(),
        items=Items(),
        goals=(),
        topics=(),
        answers_without_topic=0,
        days=tuple(PracticeDay(day, 0, 0, 0.0) for day in period.days),
        response_times=tuple(WeekResponseTime(week, 0, None, None, None) for week in period.weeks),
        recommendations=(),
        no_advice=NoAdvice.NO_ANSWERS,
        linking=None,
        counts=Counts(0, 0, 0, 0, 0.0),
        data=DataDates(None, None, COMPUTED_AT, "0.1.0+test"),
    )
