"""Sessions at the database: a run's, as others see them, and one that holds up a run."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from prefect import Flow
from sqlalchemy.engine import Engine

from flows.aggregate_features_daily import aggregate_features_daily
from flows.compute_daily_kpis import compute_daily_kpis
from seedtest.db.engine import create_engine
from tests.drills.processes import FLOWS, wait_until
from tests.flows.conftest import LAST_DAY
from tests.flows.snapshots import scalar

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '{stage} run%'"


@contextmanager
def held(database_url: str, statement: str, holder: str = "somebody's migration") -> Iterator[None]:
    """Let a session of this name hold what a statement locks."""
    engine = create_engine(database_url, application_name=holder)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
        yield
        # A drill may have stopped the server; closing the session lets go of everything.
        connection.invalidate()
    engine.dispose()


def n_sessions(engine: Engine, stage: str) -> int:
    """How many sessions a stage's runs have, those of killed ones among them."""
    return int(scalar(engine, SESSIONS.format(stage=stage)))


def waits_for_a_lock(engine: Engine, stage: str) -> bool:
    return bool(scalar(engine, SESSIONS.format(stage=stage) + " AND wait_event_type = 'Lock'"))


def wait_until_gone(engine: Engine, stage: str) -> None:
    """A killed run's session outlives it for as long as it waits or works."""
    wait_until(lambda: n_sessions(engine, stage) == 0, "PostgreSQL notices that the run is gone")


def n_digests(engine: Engine, stage: str) -> int:
    """How many learners' days a stage has done and committed."""
    return int(scalar(engine, f"SELECT count(*) FROM input_digest WHERE stage = '{stage}'"))


ROWS = {
    aggregate_features_daily.name: ("features_topic_daily", "date"),
    compute_daily_kpis.name: ("weekly_kpi", "week_start"),
}
"""Where a stage's rows are, and which column is their day."""


def n_half_written(engine: Engine, stage: str) -> int:
    """How many learners' days have rows without a digest, or a digest without rows."""
    table, day = ROWS[stage]
    return int(
        scalar(
            engine,
            f"SELECT count(*) FROM (SELECT DISTINCT user_id, {day} AS date FROM {table}) AS r"
            f" FULL JOIN (SELECT user_id, date FROM input_digest WHERE stage = '{stage}') AS d"
            " USING (user_id, date) WHERE r IS NULL OR d IS NULL",
        )
    )


def run_both() -> None:
    """Compute features and KPIs, as the night does."""
    aggregate_features_daily(date=LAST_DAY)
    compute_daily_kpis(date=LAST_DAY)


def alone(stage: str) -> Flow[..., object]:
    """Return a stage's flow without its retry."""
    flow: Flow[..., object] = FLOWS[stage].with_options(retries=0)
    return flow
