"""Weeks and item banks as large as production's, written as the stages write them."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa
from scipy.special import expit
from sqlalchemy.engine import Connection

from seedtest.db.fits import FitRecord, parameter_rows
from seedtest.db.frames import upsert
from seedtest.db.schema import Base, MirtAbility, MirtFitMeta, ReportArtifact, WeeklyKpi
from seedtest.irt import ItemParameters
from tests.db.exam_results import add_questions, add_results, result
from tests.fits import calibration
from tests.reports.weeks import MONDAY, SUNDAY, noon

N_TOPICS = 40
ANSWERS_EACH = 30
FIRST_RUN, SECOND_RUN = "fit-2026-10-31T03:00:00Z", "fit-2026-11-01T03:00:00Z"


def store_reports(
    connection: Connection, user_ids: list[str], *formats: str, week_start: dt.date = MONDAY
) -> None:
    """Record reports as uploaded, 100 kB each."""
    rows = [
        {"user_id": user_id, "week_start": week_start, "format": each, "url": "-", "file_size_bytes": 100_000}
        for user_id in user_ids
        for each in formats
    ]
    connection.execute(sa.insert(ReportArtifact), rows)


def add_large_cohort(connection: Connection, n_learners: int) -> list[str]:
    """Add learners with KPIs, θ and, but for every fiftieth, reports of the week; return their ids."""
    draw = np.random.default_rng(5)
    user_ids = [f"{n:08x}-5b1c-4d2e-8f3a-{n * 7919 % 16**12:012x}" for n in range(n_learners)]
    theta, se = draw.normal(0.1, 1.0, n_learners), draw.uniform(0.2, 0.6, n_learners)
    values = {
        "I_t": np.clip(draw.normal(0.05, 0.2, n_learners), -1, 1),
        "E_t": np.clip(draw.normal(0.1, 0.15, n_learners), 0, 1),
        "R_t": draw.beta(4, 2, n_learners),
        "A_t": draw.beta(3, 3, n_learners),
        "P": draw.beta(0.8, 0.8, n_learners),
        "S": draw.beta(2, 4, n_learners),
    }
    known = draw.random((n_learners, len(values))) < 0.85
    kpis = [
        {
            "user_id": user_id,
            "week_start": MONDAY,
            "kpis": {
                name: round(float(value[at]), 4) if known[at, column] else None
                for column, (name, value) in enumerate(values.items())
            },
        }
        for at, user_id in enumerate(user_ids)
    ]
    connection.execute(sa.insert(WeeklyKpi), kpis)
    own = {"model": "2PL", "version": "v1", "source": "calibration", "as_of": noon(1)}
    abilities = [
        {"user_id": user_id, "theta": float(theta[at]), "se": float(se[at])} | own
        for at, user_id in enumerate(user_ids)
        if at % 10
    ]
    connection.execute(sa.insert(MirtAbility), abilities)
    store_reports(connection, [user_id for at, user_id in enumerate(user_ids) if at % 50], "html", "pdf")
    return user_ids


def add_large_bank(connection: Connection, n_items: int, n_learners: int) -> ItemParameters:
    """Add two fits of so many items in topics, one in a hundred an anchor, and learners' answers to them.

    One item in two hundred is answered at random, and every tenth anchor has become harder.
    """
    draw, items = np.random.default_rng(9), items_drawn(n_items)
    ids, a, b = list(items.item_ids), items.a, items.b
    reference = b - np.where(np.arange(n_items) % 1000 == 0, 1.5, 0.0) + draw.normal(0, 0.1, n_items)
    questions = [
        {"id": item_id, "topic_id": f"topic-{at % N_TOPICS:02}", "meta": _meta(at, a[at], reference[at])}
        for at, item_id in enumerate(ids)
    ]
    add_questions(connection, *questions)
    before = replace(items, b=b + draw.normal(0, 0.15, n_items))
    write_fit(connection, before, FIRST_RUN, 2, slope=1.02, intercept=-0.05)
    write_fit(connection, items, SECOND_RUN, 1, slope=0.98, intercept=0.03)
    _answer(connection, draw, ids, a, b, n_learners)
    return items


def items_drawn(n_items: int) -> ItemParameters:
    """Items of usual parameters, with standard errors."""
    draw = np.random.default_rng(8)
    a, b = draw.lognormal(0.1, 0.3, n_items), draw.normal(0, 1.2, n_items)
    items = ItemParameters.from_values([f"item-{n:05}" for n in range(n_items)], a, b, 0.0, 40)
    return replace(items, se_a=a * 0.15, se_b=np.full(n_items, 0.2))


def _meta(at: int, a: float, b: float) -> dict[str, Any]:
    return {"tags": ["anchor"], "irt": {"a": a, "b": b, "c": None}} if at % 100 == 0 else {}


def write_fit(
    connection: Connection,
    items: ItemParameters,
    run_id: str,
    days_ago: int,
    *,
    slope: float | None = None,
    intercept: float | None = None,
    **spec: Any,
) -> None:
    """Write a fit that is in force, its items and its record."""
    last_day = SUNDAY - dt.timedelta(days=days_ago)
    record = FitRecord(run_id, "v1", noon(days_ago - 1), _spec(items, last_day, slope, intercept) | spec, {})
    connection.execute(
        sa.insert(MirtFitMeta).values(
            run_id=run_id,
            model_spec=dict(record.model_spec),
            metrics={"converged": True},
            fitted_at=record.fitted_at,
        )
    )
    named = replace(calibration(dict.fromkeys(items.item_ids, 0.0)), items=items)
    rows = parameter_rows(named).with_columns(version=pl.lit("v1"), fitted_at=pl.lit(record.fitted_at))
    tables = Base.metadata.tables
    upsert(connection, tables["mirt_item_params"], rows)
    upsert(connection, tables["mirt_item_params_history"], rows.with_columns(run_id=pl.lit(run_id)))


def _spec(
    items: ItemParameters, last_day: dt.date, slope: float | None, intercept: float | None
) -> dict[str, Any]:
    return {
        "model": "2PL",
        "n_items": len(items),
        "n_users": 1000,
        "n_observations": 30_000,
        "n_anchors": len(items) // 100,
        "linking_constants": None if slope is None else {"slope": slope, "intercept": intercept},
        "linking_method": "mean-sigma",
        "theta_mean": 0.05,
        "theta_sd": 1.02,
        "version": "v1",
        "scale": "anchors",
        "on_anchors": True,
        "reason": "no anchors" if slope is None else None,
        "repeats": "first",
        "first_day": str(last_day - dt.timedelta(days=59)),
        "last_day": str(last_day),
        "dropped": {"items: fewer than 5 answers": 3},
    }


def _answer(
    connection: Connection,
    draw: np.random.Generator,
    ids: list[str],
    a: np.ndarray,
    b: np.ndarray,
    n_learners: int,
) -> None:
    theta = draw.normal(0.05, 1.02, n_learners)
    results = []
    for user in range(n_learners):
        given = draw.choice(len(ids), ANSWERS_EACH, replace=False)
        chance = np.where(given % 200 == 7, 0.5, expit(a[given] * (theta[user] - b[given])))
        right = draw.random(ANSWERS_EACH) < chance
        questions = [
            {"question_id": ids[at], "is_correct": bool(correct)}
            for at, correct in zip(given, right, strict=True)
        ]
        results.append(result(*questions, user_id=f"learner-{user}", completed_at=noon(3 + user % 20)))
    add_results(connection, *results)
