"""Learners, their results and a fit in the database, for tests of θ after a session."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.fits import FitRecord, Reach, new_run_id, write_fit
from seedtest.db.frames import UTC_TIME
from seedtest.irt import ItemParameters, Prior
from tests.cohorts import CALIBRATED, ITEM_IDS, TOPICS, parameters
from tests.db.exam_results import add_results, result
from tests.fits import calibration

NOW = dt.datetime(2026, 11, 5, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
PRIOR = Prior(0.3, 1.2)
FITTED_AT = NOW - dt.timedelta(hours=9)
USER_IDS = ("ann", "bob", "it's", "찬호")


def publish(
    connection: Connection,
    items: ItemParameters | None = None,
    *,
    prior: Prior = PRIOR,
    version: str = "v1",
    fitted_at: dt.datetime = FITTED_AT,
    in_force: bool = True,
) -> None:
    """Bring a fit into force that has no abilities."""
    known = parameters(CALIBRATED) if items is None else items
    fit = replace(
        calibration({}), items=known, item_models=("2PL",) * len(known), prior=prior, n_observations=0
    )
    spec: dict[str, Any] = {
        "model": "2PL",
        "theta_mean": prior.mean,
        "theta_sd": prior.sd,
        "version": version,
        "on_anchors": True,
    }
    write_fit(
        connection,
        fit,
        FitRecord(new_run_id(fitted_at), version, fitted_at, spec, {}),
        Reach(in_force=in_force, items=known, abilities=in_force, since=fitted_at, until=fitted_at),
        ability_as_of=pl.DataFrame(schema={"user_id": pl.String, "as_of": UTC_TIME}),
        topic_abilities=pl.DataFrame(
            schema={
                "user_id": pl.String,
                "topic_id": pl.String,
                "theta": pl.Float64,
                "se": pl.Float64,
                "n": pl.Int64,
                "as_of": UTC_TIME,
            }
        ),
        min_responses=5,
    )


def question(item_id: str, correct: bool = True) -> dict[str, Any]:
    """An answer as the platform writes it."""
    return {"question_id": item_id, "is_correct": correct, "topic": TOPICS.get(item_id)}


def sit(
    connection: Connection,
    user_id: str = "ann",
    completed_at: dt.datetime = NOW - DAY,
    **answers: bool,
) -> None:
    """Add a session: item → right or wrong."""
    given = [question(item_id, correct) for item_id, correct in answers.items()]
    add_results(connection, result(*given, user_id=user_id, completed_at=completed_at))


def add_cohort(connection: Connection, seed: int = 5) -> None:
    """Add sessions of all learners over 70 days, with repeats, ties and items that are not calibrated."""
    rng = np.random.default_rng(seed)
    results = []
    for user_id in USER_IDS:
        for age_days in rng.choice(70, size=25):
            given = rng.choice(ITEM_IDS, size=int(rng.integers(1, 9)))
            answers = [question(str(item_id), bool(rng.random() < 0.6)) for item_id in given]
            results.append(result(*answers, user_id=user_id, completed_at=NOW - int(age_days) * DAY))
    add_results(connection, *results)


def abilities(connection: Connection) -> list[tuple[Any, ...]]:
    """The history of θ, each row with what shows whether it was written anew."""
    query = (
        "SELECT user_id, version, source, as_of, theta, se, xmin::text FROM mirt_ability ORDER BY 1, 2, 3, 4"
    )
    return [tuple(row) for row in connection.execute(sa.text(query))]


def topics(connection: Connection) -> list[tuple[Any, ...]]:
    """θ by topic, likewise."""
    columns = "user_id, topic_id, theta, se, n, as_of, version, xmin::text"
    query = f"SELECT {columns} FROM student_topic_theta ORDER BY 1, 2"
    return [tuple(row) for row in connection.execute(sa.text(query))]
