"""One learner's report out of the rows of a batch."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from reports.bank import Bank
from reports.goals import goal_rows, goals_of
from reports.items import items_of, starters
from reports.levels import expected_eap, level_of, percentile
from reports.measures import (
    ability_points,
    answer_span_rows,
    day_rows,
    item_rows,
    response_time_rows,
    rows_without_topic,
    topic_rows,
    week_rows,
)
from reports.model import (
    KPI_NAMES,
    Ability,
    AbilitySource,
    AbilityTrend,
    Counts,
    DataDates,
    Kpis,
    PracticeDay,
    Topic,
    TrendPoint,
    WeekKpis,
    WeeklyReport,
    WeekResponseTime,
)
from reports.period import Period
from reports.queries import Source
from reports.recommendations import Facts, recommend
from seedtest.errors import DataError
from seedtest.settings import Language, Repeats
from seedtest.version import code_version

Rows = Sequence[dict[str, Any]]
ByUser = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, eq=False)
class Measured:
    """The rows of a batch, by learner; who has none of a kind is absent."""

    kpis: ByUser
    points: ByUser
    other_scales: ByUser
    topics: ByUser
    goals: ByUser
    items: ByUser
    days: ByUser
    times: ByUser
    week: ByUser
    answer_span: ByUser
    without_topic: ByUser
    languages: ByUser


def measure(source: Source, period: Period, bank: Bank, repeats: Repeats) -> Measured:
    """Compute all that the reports of a batch need, each thing for all learners at once."""
    answers, abilities = source.answers, source.abilities
    points = ability_points(answers, abilities, period, bank, repeats)
    topics = topic_rows(answers, period, bank, repeats)
    is_late = pl.col("as_of").dt.date() >= period.first_day
    return Measured(
        kpis=_by_user(source.kpis),
        points=_by_user(points),
        other_scales=_by_user(abilities.filter(is_late, pl.col("version") != bank.version)),
        topics=_by_user(topics),
        goals=_by_user(goal_rows(source, topics, period, bank, repeats)),
        items=_by_user(item_rows(answers, period, bank)),
        days=_by_user(day_rows(answers, period)),
        times=_by_user(response_time_rows(answers, period)),
        week=_by_user(week_rows(answers, period)),
        answer_span=_by_user(answer_span_rows(answers, period)),
        without_topic=_by_user(rows_without_topic(answers, period)),
        languages=_by_user(source.languages),
    )


def _by_user(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    parts = rows.partition_by("user_id", as_dict=True, include_key=False)
    return {str(key[0]): part for key, part in parts.items()}


def build(
    user_id: str, measured: Measured, period: Period, bank: Bank, default_language: Language
) -> WeeklyReport:
    """Put one learner's report together.

    Raises
    ------
    DataError
        When a value is impossible: not finite, or out of its range.
    """
    points, answered = _rows(measured.points, user_id), _rows(measured.items, user_id)
    ability = _ability(points, bank)
    topics = tuple(_topic(row, ability, bank) for row in _rows(measured.topics, user_id))
    goals = goals_of(_rows(measured.goals, user_id), period.week_end)
    topic_ids = {topic.topic_id for topic in topics} | {goal.topic_id for goal in goals}
    items = items_of(answered, ability.theta if ability else None, topic_ids, bank)
    days = _days(_rows(measured.days, user_id), period)
    week = _one(measured.week, user_id)
    counts = _counts(week)
    recommendations, no_advice = recommend(
        Facts(
            week_end=period.week_end,
            theta=ability.theta if ability else None,
            theta_mean=bank.prior.mean,
            topics=topics,
            goals=goals,
            days=days,
            counts=counts,
            answered=answered,
            candidates=items.candidates,
            starters=lambda topic_id, theta: starters(bank, answered, topic_id, theta),
        )
    )
    span = _one(measured.answer_span, user_id)
    history, computed_at = _kpis(_rows(measured.kpis, user_id), period)
    return WeeklyReport(
        user_id=user_id,
        week_start=period.week_start,
        language=_one(measured.languages, user_id).get("language", default_language),
        kpi_history=history,
        ability=ability,
        ability_trend=_trend(points, _rows(measured.other_scales, user_id), period, bank),
        items=items,
        goals=goals,
        topics=topics,
        answers_without_topic=_one(measured.without_topic, user_id).get("n", 0),
        days=days,
        response_times=_response_times(_rows(measured.times, user_id), period),
        recommendations=recommendations,
        no_advice=no_advice,
        linking=bank.linked,
        counts=counts,
        data=DataDates(span.get("first_answer_at"), span.get("last_answer_at"), computed_at, code_version()),
    )


def _rows(rows: ByUser, user_id: str) -> Rows:
    return rows[user_id].rows(named=True) if user_id in rows else ()


def _one(rows: ByUser, user_id: str) -> dict[str, Any]:
    """Return the learner's only row, empty where there is none."""
    return next(iter(_rows(rows, user_id)), {})


def _kpis(rows: Rows, period: Period) -> tuple[tuple[WeekKpis, ...], dt.datetime]:
    """Return the KPIs of the eight weeks, and when the last week's were computed."""
    by_week = {row["week_start"]: _parsed(row) for row in rows}
    history = tuple(WeekKpis(week, by_week.get(week, Kpis())) for week in period.weeks)
    return history, rows[-1]["updated_at"]


def _parsed(row: Mapping[str, Any]) -> Kpis:
    where = f"the kpis of week {row['week_start']} in weekly_kpi"
    kpis = json.loads(row["kpis"])
    if not isinstance(kpis, dict):
        raise DataError(f"{where} hold {type(kpis).__name__}, not keys and numbers: compute the KPIs again.")
    values = {name: kpis.get(name) for name in KPI_NAMES}
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DataError(f"{where} hold {value!r} as {name}, not a number: compute the KPIs again.")
    return Kpis(**values)


def _ability(points: Rows, bank: Bank) -> Ability | None:
    if not points:
        return None
    newest = points[-1]
    return Ability(
        theta=newest["theta"],
        se=newest["se"],
        percentile=percentile(newest["theta"], bank.prior.mean, bank.prior.sd),
        level=level_of(newest["theta"]),
        model=newest["model"],
        version=bank.version,
        as_of=newest["as_of"],
        source=AbilitySource(newest["source"]),
    )


def _topic(row: Mapping[str, Any], ability: Ability | None, bank: Bank) -> Topic:
    expected = None
    if ability is not None and row["se"] is not None:
        expected = expected_eap(ability.theta, row["se"], bank.prior.mean, bank.prior.sd)
    return Topic(**row, expected_theta=expected)


def _trend(points: Rows, other_scales: Rows, period: Period, bank: Bank) -> AbilityTrend:
    within = [point for point in points if point["week_start"] >= period.first_day]
    return AbilityTrend(
        tuple(
            TrendPoint(point["week_start"], point["theta"], point["se"], AbilitySource(point["source"]))
            for point in within
        ),
        version=bank.version if within else None,
        rescaled_from=other_scales[-1]["version"] if other_scales else None,
    )


def _days(rows: Rows, period: Period) -> tuple[PracticeDay, ...]:
    practised = {row["date"]: row for row in rows}
    return tuple(_day(day, practised.get(day, {})) for day in period.days)


def _day(day: dt.date, row: Mapping[str, Any]) -> PracticeDay:
    return PracticeDay(day, row.get("attempts", 0), row.get("correct", 0), _minutes(row))


def _response_times(rows: Rows, period: Period) -> tuple[WeekResponseTime, ...]:
    timed = {row["week_start"]: row for row in rows}
    nothing: dict[str, Any] = {"n": 0, "median_ms": None, "q1_ms": None, "q3_ms": None}
    return tuple(
        WeekResponseTime(**(nothing | {"week_start": week} | timed.get(week, {}))) for week in period.weeks
    )


def _counts(week: Mapping[str, Any]) -> Counts:
    names = ("attempts", "correct", "sessions", "active_days")
    return Counts(**{name: week.get(name, 0) for name in names}, minutes=_minutes(week))


def _minutes(row: Mapping[str, Any]) -> float:
    return float(row.get("known_ms", 0) / 60_000)
