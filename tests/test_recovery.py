"""What the simulation put in comes out again, through the database and the linking."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from sqlalchemy.engine import Engine

from seedtest.calibration import CalibrationPlan, fit_and_publish, load_answers
from seedtest.calibration_report import item_table
from seedtest.engine import EmbeddedEngine
from seedtest.local.simulate import SimulationPlan, load_cohort, simulate
from seedtest.scale import Scale
from seedtest.settings import Settings

LAST_DAY = dt.date(2026, 3, 1)


def correlation(estimates: pl.DataFrame, truth: pl.DataFrame, key: str, name: str) -> float:
    both = estimates.join(truth, on=key, suffix="_true")
    return float(np.corrcoef(both[name], both[f"{name}_true"])[0, 1])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_simulated_cohort_is_recovered_on_the_anchors_scale(engine: Engine, seed: int) -> None:
    cohort = simulate(
        SimulationPlan(users=500, items=150, topics=8, days=60, seed=seed, end=LAST_DAY, answers=60)
    )
    load_cohort(engine, cohort)
    plan = CalibrationPlan.from_settings(Settings(), LAST_DAY)
    with engine.connect() as connection:
        answers = load_answers(connection, plan)
    outcome = fit_and_publish(answers, plan, EmbeddedEngine())

    published = outcome.published
    assert published.scale is Scale.ANCHORS
    assert published.calibration.converged
    items, true_items = item_table(outcome), cohort.items
    assert correlation(items, true_items, "item_id", "b") >= 0.95
    assert correlation(items, true_items, "item_id", "a") >= 0.85
    shift = (
        items.join(true_items, on="item_id", suffix="_true")
        .select(pl.col("b") - pl.col("b_true"))
        .mean()
        .item()
    )
    assert abs(shift) < 0.15

    used = answers.counted.select("user_id", "item_id", "completed_at")
    true_theta = (
        cohort.answers.join(used, on=["user_id", "item_id"], how="semi")
        .group_by("user_id")
        .agg(theta=pl.col("theta").mean())
    )
    abilities = published.calibration.abilities
    thetas = pl.DataFrame({"user_id": list(abilities.user_ids), "theta": abilities.theta})
    assert correlation(thetas, true_theta, "user_id", "theta") >= 0.90
