"""Weekly reports to draw: a full one, and what to change for others."""

import datetime as dt
from dataclasses import fields, replace

import numpy as np
from scipy.stats import binomtest

from reports.advice import NoAdvice
from reports.figures import Figure, Figures, draw_figures
from reports.levels import Level, expected_eap
from reports.model import (
    DAYS,
    WEEKS,
    Ability,
    AbilitySource,
    AbilityTrend,
    AnsweredItem,
    Counts,
    DataDates,
    Items,
    Kpis,
    PracticeDay,
    Topic,
    TrendPoint,
    WeekKpis,
    WeeklyReport,
    WeekResponseTime,
)
from reports.texts import texts_in
from seedtest.irt import ItemParameters, probability
from seedtest.settings import Language

WEEK_START = dt.date(2025, 10, 27)
MONDAYS = tuple(WEEK_START - dt.timedelta(weeks=back) for back in reversed(range(WEEKS)))
NOON = dt.datetime(2025, 11, 2, 12, tzinfo=dt.UTC)
TOPICS = (
    "이차방정식",
    "함수와 그래프",
    "확률",
    "Plane geometry",
    "삼각비와 그 활용",
    "수열",
    "통계",
    "집합과 명제",
)
NOTHING_KNOWN = Kpis()


def empty_report(language: Language = "ko") -> WeeklyReport:
    """A learner of whom nothing is known but that there is a row of KPIs."""
    return WeeklyReport(
        user_id="test-user-123",
        week_start=WEEK_START,
        language=language,
        kpi_history=tuple(WeekKpis(monday, NOTHING_KNOWN) for monday in MONDAYS),
        ability=None,
        ability_trend=AbilityTrend(),
        items=Items(),
        goals=(),
        topics=(),
        answers_without_topic=0,
        days=tuple(PracticeDay(MONDAYS[0] + dt.timedelta(days=n), 0, 0, 0.0) for n in range(DAYS)),
        response_times=tuple(WeekResponseTime(monday, 0, None, None, None) for monday in MONDAYS),
        recommendations=(),
        no_advice=NoAdvice.NO_ANSWERS,
        linking=None,
        counts=Counts(0, 0, 0, 0, 0.0),
        data=DataDates(None, None, NOON, "0.1.0"),
    )


def full_report(language: Language = "ko", seed: int = 7) -> WeeklyReport:
    """A learner with answers in most weeks."""
    draw = np.random.default_rng(seed)
    return replace(
        empty_report(language),
        kpi_history=(
            *(WeekKpis(monday, NOTHING_KNOWN) for monday in MONDAYS[:-2]),
            WeekKpis(MONDAYS[-2], Kpis(I_t=-0.08, E_t=0.31, R_t=0.5, A_t=0.62, P=0.41, S=0.22)),
            WeekKpis(MONDAYS[-1], Kpis(I_t=0.13, E_t=0.28, R_t=None, A_t=0.71, P=0.58, S=0.09)),
        ),
        ability=Ability(0.62, 0.24, 0.73, Level.GOOD, "2PL", "v1", NOON, AbilitySource.CALIBRATION),
        ability_trend=AbilityTrend(trend_points(), "v1"),
        items=Items(answered_items(draw, 60)),
        topics=tuple(topic(name, n, draw) for n, name in enumerate(TOPICS)),
        days=practice_days(draw),
        response_times=response_weeks(),
    )


def trend_points() -> tuple[TrendPoint, ...]:
    """θ of seven weeks; the fourth has none, the first two were estimated later."""
    thetas = (-0.35, -0.12, 0.05, None, 0.21, 0.38, 0.44, 0.62)
    ses = (0.55, 0.48, 0.41, None, 0.36, 0.31, 0.28, 0.24)
    sources = (AbilitySource.ANSWERS,) * 2 + (AbilitySource.CALIBRATION,) * 6
    return tuple(
        TrendPoint(monday, theta, se, source)
        for monday, theta, se, source in zip(MONDAYS, thetas, ses, sources, strict=True)
        if theta is not None
    )


def answered_items(draw: np.random.Generator, n_items: int, theta: float = 0.62) -> tuple[AnsweredItem, ...]:
    """Items around the learner's θ, answered as the model expects."""
    difficulties = [draw.normal(0.2, 1.1) for _ in range(n_items)]
    items = ItemParameters.from_values([f"Q{n}" for n in range(n_items)], 1.0, difficulties)
    expected = probability(items, np.array([theta]))[:, 0].tolist()
    answered = [
        AnsweredItem(item_id, TOPICS[0], 1.0, b, 0.0, chance, NOON, draw.random() < chance, 1)
        for item_id, b, chance in zip(items.item_ids, difficulties, expected, strict=True)
    ]
    return tuple(sorted(answered, key=lambda item: (item.b, item.item_id)))


def topic(name: str, n: int, draw: np.random.Generator) -> Topic:
    """A topic; every fourth has no θ."""
    attempts, theta = 8 + 5 * (n % 7), None if n % 4 == 3 else draw.normal(0.4, 0.7)
    correct = round(attempts * draw.uniform(0.4, 0.9))
    low, high = wilson(correct, attempts)
    se = None if theta is None else 0.2 + 0.4 * draw.random()
    return Topic(
        topic_id=name,
        attempts=attempts,
        attempts_this_week=attempts // 4,
        correct=correct,
        accuracy=correct / attempts,
        accuracy_low=low,
        accuracy_high=high,
        theta=theta,
        se=se,
        n=0 if theta is None else attempts,
        expected_theta=None if se is None else expected_eap(0.62, se, 0.03, 1.02),
        improvement=None,
        rt_median_ms=31_000,
        last_answered_at=NOON,
    )


def practice_days(draw: np.random.Generator) -> tuple[PracticeDay, ...]:
    """Practice on about half the days, none in the fourth week."""
    numbers = [0 if n // 7 == 3 or draw.random() < 0.45 else int(draw.integers(1, 40)) for n in range(DAYS)]
    first = MONDAYS[0]
    return tuple(
        PracticeDay(first + dt.timedelta(days=at), n, n // 2, n * 0.6) for at, n in enumerate(numbers)
    )


def response_weeks() -> tuple[WeekResponseTime, ...]:
    """Times that fall from 48 to 30 seconds; the fourth week has none."""
    medians = (48_200, 45_000, 41_000, None, 39_500, 36_000, 33_300, 30_400)
    return tuple(
        WeekResponseTime(monday, 0, None, None, None)
        if median is None
        else WeekResponseTime(monday, 24, float(median), median * 0.7, median * 1.35)
        for monday, median in zip(MONDAYS, medians, strict=True)
    )


def wilson(correct: int, attempts: int) -> tuple[float, float]:
    """Wilson's (1927) 95 % interval."""
    interval = binomtest(correct, attempts).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def drawn(report: WeeklyReport) -> list[Figure]:
    """Draw what there is to draw, in the report's language."""
    figures = draw_figures(report, texts_in(report.language))
    named = (getattr(figures, field.name) for field in fields(Figures))
    return [figure for figure in named if figure is not None]
