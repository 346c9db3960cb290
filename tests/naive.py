"""The computations of domain §3 and §4 once more, as plainly as Python can say them.

No polars, no NumPy, no code of the core: loops over lists, one learner, one window, one answer at a
time, written from the formulas. Slow on purpose; tests compare the core with it.
"""

import datetime as dt
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal


@dataclass(frozen=True)
class Answer:
    user_id: str
    item_id: str
    topic_id: str | None
    session_id: str
    correct: bool
    response_time_ms: int | None
    hints: int | None
    hint_used: bool | None
    completed_at: dt.datetime
    result_id: str
    ordinal: int


@dataclass(frozen=True)
class Item:
    a: float
    b: float
    c: float = 0.0


@dataclass(frozen=True)
class Ability:
    user_id: str
    theta: float
    se: float | None
    as_of: dt.datetime
    fitted_at: dt.datetime


@dataclass(frozen=True)
class Goal:
    user_id: str
    topic_id: str
    target_level: float | None
    priority: int | None


@dataclass(frozen=True)
class Fit:
    """The item parameters and the prior in force, and which answers to one item count."""

    items: dict[str, Item]
    prior_mean: float = 0.0
    prior_sd: float = 1.0
    repeats: Literal["first", "latest", "all"] = "first"


@dataclass(frozen=True)
class Theta:
    theta: float | None
    se: float | None
    n: int
    newest_at: dt.datetime | None


@dataclass(frozen=True)
class Cohort:
    answers: list[Answer]
    fit: Fit
    abilities: list[Ability] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    default_target: float = 0.0


def clamp(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return max(low, min(high, value))


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def median(values: list[int]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return float(ordered[middle])
    return (ordered[middle - 1] + ordered[middle]) / 2


def midnight(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)


def window(answers: Iterable[Answer], as_of: dt.date, days: int, skip: int = 0) -> list[Answer]:
    """Answers of the `days` days that end `skip` days before `as_of`, oldest first."""
    end = midnight(as_of - dt.timedelta(days=skip)) + dt.timedelta(days=1)
    start = end - dt.timedelta(days=days)
    inside = [answer for answer in answers if start <= answer.completed_at < end]
    return sorted(inside, key=lambda answer: (answer.completed_at, answer.result_id, answer.ordinal))


# -- θ ---------------------------------------------------------------------------------------------


def counting(answers: list[Answer], fit: Fit) -> list[Answer]:
    """Answers to calibrated items that MIRT_REPEATS lets count; `answers` are oldest first."""
    known = [answer for answer in answers if answer.item_id in fit.items]
    if fit.repeats == "all":
        return known
    chosen: dict[str, Answer] = {}
    for answer in known:
        if fit.repeats == "latest" or answer.item_id not in chosen:
            chosen[answer.item_id] = answer
    return list(chosen.values())


def eap(answers: list[Answer], fit: Fit) -> Theta:
    """Mean and SD of the posterior over 61 even nodes across mean ± 6 sd of the prior."""
    used = counting(answers, fit)
    if not used:
        return Theta(None, None, 0, None)
    nodes = [fit.prior_mean + fit.prior_sd * (-6 + 12 * k / 60) for k in range(61)]
    weights = []
    for node in nodes:
        weight = math.exp(-0.5 * ((node - fit.prior_mean) / fit.prior_sd) ** 2)
        for answer in used:
            item = fit.items[answer.item_id]
            p = item.c + (1 - item.c) / (1 + math.exp(-item.a * (node - item.b)))
            weight *= p if answer.correct else 1 - p
        weights.append(weight)
    total = math.fsum(weights)
    theta = math.fsum(w * x for w, x in zip(weights, nodes, strict=True)) / total
    variance = math.fsum(w * (x - theta) ** 2 for w, x in zip(weights, nodes, strict=True)) / total
    return Theta(theta, math.sqrt(variance), len(used), max(answer.completed_at for answer in used))


# -- KPIs ------------------------------------------------------------------------------------------


def improvement(answers: list[Answer], as_of: dt.date, fit: Fit) -> float | None:
    recent, prev = window(answers, as_of, 14), window(answers, as_of, 14, skip=14)
    if not recent or not prev:
        return None
    theta_recent, theta_prev = eap(recent, fit), eap(prev, fit)
    if theta_recent.n >= 5 and theta_prev.n >= 5:
        assert theta_recent.theta is not None
        assert theta_recent.se is not None
        assert theta_prev.theta is not None
        gain = theta_recent.theta - theta_prev.theta
        n, se = theta_recent.n, theta_recent.se
    else:
        p_recent = sum(answer.correct for answer in recent) / len(recent)
        p_prev = sum(answer.correct for answer in prev) / len(prev)
        gain = p_recent - p_prev
        n, se = len(recent), math.sqrt(p_recent * (1 - p_recent) / len(recent))
    return clamp(gain * min(1, n / 30) * (1 - min(0.5, 1.96 * se)), -1, 1)


def efficiency(answers: list[Answer], as_of: dt.date) -> float | None:
    medians = []
    for skip in (0, 28):
        correct = [answer for answer in window(answers, as_of, 28, skip=skip) if answer.correct]
        times = [answer.response_time_ms for answer in correct if answer.response_time_ms is not None]
        if not times:
            return None
        medians.append(median(times))
    recent, prev = medians
    return clamp((prev - recent) / prev) if prev > 0 else None


def recovery(answers: list[Answer], as_of: dt.date) -> float | None:
    missed = {answer.item_id for answer in window(answers, as_of, 28, skip=28) if not answer.correct}
    retries = [answer.correct for answer in window(answers, as_of, 28) if answer.item_id in missed]
    return sum(retries) / len(retries) if retries else None


def by_session(answers: list[Answer]) -> dict[str, list[Answer]]:
    sessions: dict[str, list[Answer]] = {}
    for answer in answers:
        sessions.setdefault(answer.session_id, []).append(answer)
    return sessions


def engagement(answers: list[Answer], as_of: dt.date) -> float | None:
    recent = window(answers, as_of, 28)
    if not recent:
        return None
    sessions = by_session(recent)
    times = sorted({max(answer.completed_at for answer in session) for session in sessions.values()})
    gap = 0.5
    if len(times) >= 2:
        gaps = [(later - earlier) / dt.timedelta(days=1) for earlier, later in pairwise(times)]
        gap = clamp(1 / mean(gaps))
    hints = [float(answer.hints) for answer in recent if answer.hints is not None]
    seconds = []
    for session in sessions.values():
        known = [answer.response_time_ms for answer in session if answer.response_time_ms is not None]
        if known:
            seconds.append(sum(known) / 1000)
    return (
        0.35 * clamp(len(sessions) / 28)
        + 0.25 * gap
        + 0.20 * (clamp(1 - mean(hints) / 3) if hints else 0.5)
        + 0.20 * (clamp(mean(seconds) / 900) if seconds else 0.5)
    )


def target(goals: list[Goal], default: float) -> float:
    total, weights = 0.0, 0
    for goal in goals:
        if goal.target_level is not None:
            weight = (goal.priority or 0) + 1
            total += weight * goal.target_level
            weights += weight
    return total / weights if weights else default


def goal_probability(abilities: list[Ability], goal_theta: float, as_of: dt.date) -> float | None:
    known = [ability for ability in abilities if ability.as_of < midnight(as_of) + dt.timedelta(days=1)]
    if not known:
        return None
    latest = max(known, key=lambda ability: (ability.as_of, ability.fitted_at))
    if latest.se is None or latest.se <= 0:
        return None
    z = (goal_theta - latest.theta) / latest.se
    return 1 - 0.5 * (1 + math.erf(z / math.sqrt(2)))


def churn_risk(answers: list[Answer], as_of: dt.date, horizon_days: int = 14) -> float | None:
    active = window(answers, as_of, 56)
    if not active:
        return None
    days_since = (as_of - active[-1].completed_at.date()).days
    sessions = by_session(active)
    dates = sorted(max(answer.completed_at for answer in session).date() for session in sessions.values())
    gap = 1.0
    if len(dates) >= 2:
        gap = clamp((dates[-1] - dates[0]).days / (len(dates) - 1) / 7)
    return 0.60 * clamp(days_since / horizon_days) + 0.25 * gap + 0.15 * clamp(1 - len(dates) / 10)


def weekly_kpis(cohort: Cohort, date: dt.date) -> dict[tuple[str, dt.date], dict[str, float | None]]:
    """The KPIs by (user_id, week_start)."""
    rows = {}
    for user_id in sorted({answer.user_id for answer in window(cohort.answers, date, 56)}):
        answers = [answer for answer in cohort.answers if answer.user_id == user_id]
        abilities = [ability for ability in cohort.abilities if ability.user_id == user_id]
        goals = [goal for goal in cohort.goals if goal.user_id == user_id]
        running = date - dt.timedelta(days=date.isoweekday() - 1)
        for week_start in (running - dt.timedelta(days=7), running):
            as_of = min(date, week_start + dt.timedelta(days=6))
            rows[user_id, week_start] = {
                "I_t": improvement(answers, as_of, cohort.fit),
                "E_t": efficiency(answers, as_of),
                "R_t": recovery(answers, as_of),
                "A_t": engagement(answers, as_of),
                "P": goal_probability(abilities, target(goals, cohort.default_target), as_of),
                "S": churn_risk(answers, as_of),
            }
    return rows


# -- features --------------------------------------------------------------------------------------


def round_half_up(value: float) -> int:
    return math.floor(value + 0.5)


def topic_day(answers: list[Answer], day: dt.date, fit: Fit) -> dict[str, object]:
    """The features of one learner's day in one topic from all their answers in it."""
    today = window(answers, day, 1)
    times = [answer.response_time_ms for answer in today if answer.response_time_ms is not None]
    estimate = eap(window(answers, day, 60), fit)
    return {
        "attempts": len(today),
        "correct": sum(answer.correct for answer in today),
        "avg_time_ms": round_half_up(sum(times) / len(times)) if times else None,
        "rt_median": round_half_up(median(times)) if times else None,
        "hints": sum(answer.hint_used is True for answer in today),
        "theta_estimate": estimate.theta,
        "theta_sd": estimate.se,
        "improvement": improvement(answers, day, fit),
        "last_seen_at": today[-1].completed_at,
    }


def topic_features(
    cohort: Cohort, first_day: dt.date, last_day: dt.date
) -> dict[tuple[str, str, dt.date], dict[str, object]]:
    """The features by (user_id, topic_id, day)."""
    rows = {}
    for answer in cohort.answers:
        day = answer.completed_at.date()
        if answer.topic_id is not None and first_day <= day <= last_day:
            alike = [
                a for a in cohort.answers if (a.user_id, a.topic_id) == (answer.user_id, answer.topic_id)
            ]
            rows[answer.user_id, answer.topic_id, day] = topic_day(alike, day, cohort.fit)
    return rows
