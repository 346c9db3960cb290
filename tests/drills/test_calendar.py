"""Nights around midnight and the end of an ISO year, beside the naive implementation."""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import Pending, Scheduled
from sqlalchemy.engine import Connection, Engine

from flows.aggregate_features_daily import aggregate_features_daily
from flows.compute_daily_kpis import compute_daily_kpis
from tests import naive
from tests.cohorts import CALIBRATED, DAY, ITEM_IDS, LAST_INSTANT, TOPICS, at
from tests.conftest import Address
from tests.db.exam_results import add_results
from tests.drills.conftest import database

# The Mondays after ISO weeks 53. No run starts before it is due: those due at a moment need one in the past.
PAST, COMING = dt.date(2021, 1, 4), dt.date(2027, 1, 4)
LAST_SECOND, FIRST_SECOND = dt.time(23, 59, 59), dt.time(0, 0, 1)
LEARNERS = ("ann", "찬호")


def sitting(user_id: str, completed_at: dt.datetime, number: int) -> list[naive.Answer]:
    """A paper of a few items, in one result."""
    result_id = str(uuid.UUID(int=number))
    shift = number % len(ITEM_IDS)
    answers = []
    for ordinal, item_id in enumerate((ITEM_IDS[shift:] + ITEM_IDS[:shift])[:6], 1):
        hints = (None, 0, 2)[(number + ordinal) % 3]
        answers.append(
            naive.Answer(
                user_id,
                item_id,
                TOPICS[item_id],
                f"session-{number}",
                (number * ordinal) % 3 != 0,
                (None, 1500, 20_250, 61_000)[(number + 2 * ordinal) % 4],
                hints,
                None if hints is None else hints > 0,
                completed_at,
                result_id,
                ordinal,
            )
        )
    return answers


def cohort(last: dt.date) -> naive.Cohort:
    """Ten weeks that end with a day: at the first and the last moment of most days."""
    found, number = [], 0
    for age in range(70):
        for learner, user_id in enumerate(LEARNERS):
            if (age + learner) % 3 != 2:
                number += 1
                time = (dt.time(), LAST_INSTANT)[(age + learner) % 2]
                found += sitting(user_id, at(last - age * DAY, time), number)
    return naive.Cohort(found, naive.Fit(CALIBRATED))


def load(connection: Connection, cohort: naive.Cohort) -> None:
    """Write the cohort as the platform does, and the fit that scores it."""
    papers: dict[str, list[naive.Answer]] = {}
    for answer in cohort.answers:
        papers.setdefault(answer.result_id, []).append(answer)
    add_results(
        connection,
        *(
            {
                "id": uuid.UUID(result_id),
                "session_id": paper[0].session_id,
                "user_id": paper[0].user_id,
                "result_json": {"questions": [question(answer) for answer in paper]},
                "created_at": paper[0].completed_at,
                "updated_at": paper[0].completed_at,
            }
            for result_id, paper in papers.items()
        ),
    )
    spec = {"model": "2PL", "version": "v1", "theta_mean": 0.0, "theta_sd": 1.0, "on_anchors": True}
    connection.execute(
        sa.text("INSERT INTO mirt_fit_meta (run_id, model_spec, metrics) VALUES ('fit-1', :spec, '{}')"),
        {"spec": json.dumps(spec)},
    )
    insert = "INSERT INTO mirt_item_params (item_id, model, params, version) VALUES (:id, '3PL', :p, 'v1')"
    items = [{"id": name, "p": json.dumps({"a": i.a, "b": i.b, "c": i.c})} for name, i in CALIBRATED.items()]
    connection.execute(sa.text(insert), items)


def question(answer: naive.Answer) -> dict[str, Any]:
    known = {
        "time_spent_sec": None if answer.response_time_ms is None else answer.response_time_ms / 1000,
        "used_hints": answer.hints,
        "topic": answer.topic_id,
    }
    given = {name: value for name, value in known.items() if value is not None}
    return {"question_id": answer.item_id, "is_correct": answer.correct, **given}


@pytest.fixture
def database_url(server: Address, empty_template: str) -> Iterator[str]:
    with database(server, empty_template) as url:
        yield url


def run_due(flow: Flow[..., Any], due: dt.datetime) -> None:
    """Run a flow that was due at a moment."""
    alone = flow.with_options(retries=0)
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(alone, state=Scheduled(scheduled_time=due))
        client.set_flow_run_state(made.id, Pending())
        taken = client.read_flow_run(made.id)
    run_flow(alone, flow_run=taken, parameters=alone.validate_parameters({}))


def check_kpis(engine: Engine, cohort: naive.Cohort, date: dt.date) -> None:
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT user_id, week_start, kpis FROM weekly_kpi")).all()
    expected = naive.weekly_kpis(cohort, date)
    assert {(row.user_id, row.week_start) for row in rows} == set(expected)
    for row in rows:
        wanted = expected[row.user_id, row.week_start]
        assert row.kpis == {name: pytest.approx(value, abs=1e-9) for name, value in wanted.items()}, row


@pytest.mark.parametrize(
    "due",
    [
        at(PAST - DAY, LAST_SECOND),
        at(PAST, FIRST_SECOND),
        *(
            pytest.param(at(PAST + (k - 7) * DAY, time), marks=pytest.mark.heavy)
            for k in range(9)
            for time in (FIRST_SECOND, LAST_SECOND)
        ),
    ],
)
def test_kpis_of_a_night_due_beside_midnight(due: dt.datetime, engine: Engine) -> None:
    drawn = cohort(PAST)
    with engine.begin() as connection:
        load(connection, drawn)
    run_due(compute_daily_kpis, due)
    check_kpis(engine, drawn, due.date() - DAY)


@pytest.mark.parametrize(
    "date",
    [COMING - DAY, *(pytest.param(COMING - k * DAY, marks=pytest.mark.heavy) for k in (0, 2, 3, 4, 5, 6, 7))],
)
def test_kpis_of_a_day_around_the_year_s_end(date: dt.date, engine: Engine) -> None:
    drawn = cohort(COMING)
    with engine.begin() as connection:
        load(connection, drawn)
    compute_daily_kpis.with_options(retries=0)(date=date)
    check_kpis(engine, drawn, date)


def test_features_of_the_days_around_the_year_s_end(engine: Engine) -> None:
    drawn = cohort(COMING)
    with engine.begin() as connection:
        load(connection, drawn)
    aggregate_features_daily.with_options(retries=0)(date=COMING, lookback_days=8)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT * FROM features_topic_daily")).mappings().all()
    expected = naive.topic_features(drawn, COMING - 7 * DAY, COMING)
    assert {(row["user_id"], row["topic_id"], row["date"]) for row in rows} == set(expected)
    for row in rows:
        for name, value in expected[row["user_id"], row["topic_id"], row["date"]].items():
            wanted = pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
            assert row[name] == wanted, (name, row)
