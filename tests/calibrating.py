"""Calibrations of the simulated cohort, from its answers in the database to the tables."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.calibration import (
    Answers,
    CalibrationPlan,
    Outcome,
    fit_and_publish,
    load_answers,
    write_outcome,
)
from seedtest.db.frames import Written
from seedtest.engine import EmbeddedEngine
from seedtest.settings import Settings
from tests.db.exam_results import NOON, add_questions, add_results
from tests.simulated import anchor_metas, cohort

TODAY = NOON.date()
FITTED_AT = dt.datetime(2026, 11, 2, 3, tzinfo=dt.UTC)


def add_cohort(engine: Engine) -> None:
    """Add the cohort's answers, and six anchors among its items."""
    with engine.begin() as connection:
        add_results(connection, *cohort())
        add_questions(connection, *anchor_metas())


def plan(*, topic_id: str | None = None, exam_id: int | None = None, **settings: Any) -> CalibrationPlan:
    return CalibrationPlan.from_settings(Settings(**settings), TODAY, topic_id=topic_id, exam_id=exam_id)


def load(engine: Engine, plan: CalibrationPlan) -> Answers:
    with engine.connect() as connection:
        return load_answers(connection, plan)


def run(
    engine: Engine, plan: CalibrationPlan, fitted_at: dt.datetime = FITTED_AT
) -> tuple[Outcome, dict[str, Written]]:
    with engine.begin() as connection:
        outcome = fit_and_publish(load_answers(connection, plan), plan, EmbeddedEngine())
        return outcome, write_outcome(connection, outcome, plan, fitted_at)


def scalars(connection: Connection, query: str) -> list[Any]:
    return list(connection.execute(sa.text(query)).scalars())
