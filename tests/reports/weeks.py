"""A week ready for its reports: the simulated cohort, calibrated, with KPIs; and learners to add to it."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from reports.assembly import Assembled, assemble
from reports.model import WeeklyReport
from seedtest.db.attempts import last_days, load_attempts
from seedtest.db.calibrations import load_abilities, load_fit, load_goals
from seedtest.db.results import write_kpis
from seedtest.db.schema import InterestGoal, MirtAbility, WeeklyKpi
from seedtest.kpis import KPIS, NEEDS_DAYS, weekly_kpis
from seedtest.settings import Settings
from tests import calibrating
from tests.db.exam_results import add_results, result

SUNDAY = calibrating.TODAY
MONDAY = SUNDAY - dt.timedelta(days=6)
NOTHING = dict.fromkeys(KPIS)


def prepare(engine: Engine) -> None:
    """Fill the source tables and run what comes before the reports."""
    calibrating.add_cohort(engine)
    calibrating.run(engine, calibrating.plan())
    compute_kpis(engine)


def compute_kpis(engine: Engine, date: dt.date = SUNDAY) -> None:
    with engine.begin() as connection:
        fit = load_fit(connection)
        result = weekly_kpis(
            load_attempts(connection, last_days(date, NEEDS_DAYS)),
            date,
            items=fit.items,
            prior=fit.prior,
            abilities=load_abilities(connection, before=date + dt.timedelta(days=1)),
            goals=load_goals(connection),
        )
        write_kpis(connection, result.rows)


def noon(days_ago: int, *, seconds: int = 0) -> dt.datetime:
    """Noon so many days before the week's last, UTC."""
    day = SUNDAY - dt.timedelta(days=days_ago)
    return dt.datetime.combine(day, dt.time(12), dt.UTC) + dt.timedelta(seconds=seconds)


def question(item_id: str, correct: bool = True, **more: Any) -> dict[str, Any]:
    return {"question_id": item_id, "is_correct": correct} | more


def add_session(connection: Connection, user_id: str, days_ago: int, *questions: dict[str, Any]) -> None:
    add_results(connection, result(*questions, user_id=user_id, completed_at=noon(days_ago)))


def add_kpis(connection: Connection, user_id: str, kpis: Any = NOTHING, week_start: dt.date = MONDAY) -> None:
    row = {"user_id": user_id, "week_start": week_start, "kpis": kpis}
    connection.execute(sa.insert(WeeklyKpi).values(**row))


def add_goal(connection: Connection, user_id: str, topic_id: str, **columns: Any) -> None:
    connection.execute(sa.insert(InterestGoal).values(user_id=user_id, topic_id=topic_id, **columns))


def add_ability(connection: Connection, user_id: str, theta: float, days_ago: int, **columns: Any) -> None:
    row = {"se": 0.3, "model": "2PL", "version": "v1", "source": "calibration"} | columns
    row |= {"user_id": user_id, "theta": theta, "as_of": noon(days_ago)}
    connection.execute(sa.insert(MirtAbility).values(**row))


def assembled(
    connection: Connection, *user_ids: str, week_start: dt.date = MONDAY, **settings: Any
) -> Assembled:
    return assemble(connection, week_start, user_ids, Settings(**settings))


def report(connection: Connection, user_id: str, **options: Any) -> WeeklyReport:
    """The report of a learner who must have one."""
    result = assembled(connection, user_id, **options)
    assert (result.failures, result.without_kpis) == ((), ())
    return result.reports[0]


def user_ids_of(reports: Sequence[WeeklyReport]) -> list[str]:
    return [report.user_id for report in reports]
