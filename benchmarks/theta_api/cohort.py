"""Learners with recent answers, and the fit that scores them, in a durable PostgreSQL."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.db import migrate
from seedtest.db.engine import create_engine
from seedtest.db.frames import upsert
from seedtest.db.schema import Base
from seedtest.local.postgres import EmbeddedPostgres
from seedtest.local.simulate import SimulationPlan, load_cohort, simulate

ANSWERS_EACH = 50
# All answers lie within the 30 days behind a θ.
DAYS = 25


@contextmanager
def loaded(
    home: Path, learners: int, items: int, *, days: int = DAYS, answers: int = ANSWERS_EACH
) -> Iterator[tuple[str, list[str]]]:
    """Give the address of a database with a cohort, and its learners."""
    today = dt.datetime.now(dt.UTC).date()
    plan = SimulationPlan(users=learners, items=items, topics=12, days=days, end=today, answers=answers)
    server = EmbeddedPostgres(home)
    server.start()
    try:
        migrate.upgrade(server.url())
        engine = create_engine(server.url())
        cohort = simulate(plan)
        load_cohort(engine, cohort)
        _publish(engine, cohort.items)
        engine.dispose()
        yield server.url(), cohort.users["user_id"].to_list()
    finally:
        server.remove()


def _publish(engine: Engine, truth: pl.DataFrame) -> None:
    """Write the true parameters as a fit's, and let the planner know the tables."""
    spec = {
        "model": "2PL",
        "version": "v1",
        "theta_mean": 0.0,
        "theta_sd": 1.0,
        "on_anchors": False,
        "n_items": truth.height,
        "n_users": 0,
        "n_observations": 0,
        "n_anchors": 0,
        "linking_constants": None,
    }
    params = [json.dumps({"a": a, "b": b, "c": 0.0}) for a, b in zip(truth["a"], truth["b"], strict=True)]
    items = truth.select("item_id", model=pl.lit("2PL"), params=pl.Series(params), version=pl.lit("v1"))
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO mirt_fit_meta (run_id, model_spec, metrics)"
                " VALUES ('fit-1', CAST(:spec AS jsonb), '{}')"
            ),
            {"spec": json.dumps(spec)},
        )
        upsert(connection, Base.metadata.tables["mirt_item_params"], items)
        connection.execute(sa.text("ANALYZE"))
