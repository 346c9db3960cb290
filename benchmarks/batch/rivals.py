"""What features and KPIs are measured against: the limit of the database, and the obvious way."""

import datetime as dt
import os
import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db.attempts import Scope
from seedtest.db.calibrations import abilities_as_of, load_fit, load_goals
from seedtest.db.frames import driver_connection, read_frame
from seedtest.db.results import write_features, write_kpis
from seedtest.features import NEEDS_DAYS_BEFORE, topic_features
from seedtest.kpis import NEEDS_DAYS, weekly_kpis
from seedtest.scale import Fit
from seedtest.windows import ATTEMPTS, first_day, kpi_weeks

COLUMNS = ", ".join(column for column in ATTEMPTS if column not in {"result_id", "ordinal"})
RESULTS = {"features_topic_daily": "date BETWEEN '{first}' AND '{last}'", "weekly_kpi": "true"}
SAMPLE_USERS = 100


def limit_secs(engine: Engine, scope: Scope, folder: Path) -> dict[str, float]:
    """Return the seconds of each part of the limit: the window copied out, the results copied in.

    Out: the needed columns of the view's answers, through `attempt_base`, as a filter on `attempt` itself
    does not reach the index. In: as many result rows as there are, into unlogged tables.
    """
    spent = {}
    with engine.connect() as connection, Path(os.devnull).open("wb") as sink:
        cursor = driver_connection(connection).cursor()
        begun = time.monotonic()
        query = cursor.mogrify(
            f"SELECT {COLUMNS} FROM attempt_base WHERE {scope.condition}", scope.parameters
        ).decode()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT", sink)
        spent["window out"] = time.monotonic() - begun
    for table, rows in RESULTS.items():
        where = rows.format(first=scope.first_day, last=scope.last_day)
        spent[f"{table} in"] = _copy_in(engine, table, where, folder / table)
    return spent


def _copy_in(engine: Engine, table: str, where: str, file: Path) -> float:
    with engine.begin() as connection:
        cursor = driver_connection(connection).cursor()
        with file.open("wb") as sink:
            cursor.copy_expert(f"COPY (SELECT * FROM {table} WHERE {where}) TO STDOUT", sink)
        cursor.execute(f"DROP TABLE IF EXISTS limit_{table}")
        cursor.execute(f"CREATE UNLOGGED TABLE limit_{table} AS SELECT * FROM {table} LIMIT 0")
    with engine.begin() as connection, file.open("rb") as source:
        cursor = driver_connection(connection).cursor()
        begun = time.monotonic()
        cursor.copy_expert(f"COPY limit_{table} FROM STDIN", source)
        spent = time.monotonic() - begun
        cursor.execute(f"DROP TABLE limit_{table}")
    file.unlink()
    return spent


def per_user_secs(engine: Engine, first: dt.date, last: dt.date) -> tuple[float, int]:
    """Return the seconds of the obvious way for all learners, scaled from a sample, and how many they are.

    A query a learner, the same functions on the learner's answers, a write a learner.
    """
    with engine.connect() as connection:
        fit = load_fit(connection)
        active = "SELECT DISTINCT user_id FROM exam_results WHERE created_at >= :first ORDER BY 1"
        users = list(connection.scalars(sa.text(active), {"first": first}))
    chosen = users[:: len(users) // SAMPLE_USERS][:SAMPLE_USERS]
    begun = time.monotonic()
    for user_id in chosen:
        with engine.begin() as connection:
            _one_user(connection, user_id, fit, first, last)
    return (time.monotonic() - begun) / SAMPLE_USERS * len(users), len(users)


def _one_user(connection: Connection, user_id: str, fit: Fit, first: dt.date, last: dt.date) -> None:
    scope = Scope(first_day(first, max(NEEDS_DAYS_BEFORE + 1, NEEDS_DAYS)), last)
    answers = read_frame(
        connection,
        f"SELECT {', '.join(ATTEMPTS)} FROM attempt_base WHERE {scope.condition} AND user_id = %(user_id)s",
        ATTEMPTS,
        scope.parameters | {"user_id": user_id},
    )
    features = topic_features(answers, first, last, items=fit.items, prior=fit.prior, repeats="first")
    users = answers["user_id"].unique()
    kpis = weekly_kpis(
        answers,
        last,
        items=fit.items,
        prior=fit.prior,
        abilities=abilities_as_of(connection, users, [week.as_of for week in kpi_weeks(last)]),
        goals=load_goals(connection, users),
    )
    write_features(connection, features.rows, features.rows.select("user_id", "date").unique())
    write_kpis(connection, kpis.rows)
