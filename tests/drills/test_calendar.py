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

# ISO week 53 of 2026 is from 28 December to 3 January.
MONDAY, NEXT_MONDAY = dt.date(2026, 12, 28), dt.date(2027, 1, 4)
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


def answers() -> list[naive.Answer]:
    """Ten weeks that end with the Monday: at the first and the last moment of most days."""
    found, number = [], 0
    for age in range(70):
        for learner, user_id in enumerate(LEARNERS):
            if (age + learner) % 3 != 2:
                number += 1
                time = (dt.time(), LAST_INSTANT)[(age + learner) % 2]
                found += sitting(user_id, at(NEXT_MONDAY - age * DAY, time), number)
    return found


COHORT = naive.Cohort(answers(), naive.Fit(CALIBRATED))


def load(connection: Connection) -> None:
    """Write the cohort as the platform does, and the fit that scores it."""
    papers: dict[str, list[naive.Answer]] = {}
    for answer in COHORT.answers:
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
    connection.execute(
        sa.text(
            "INSERT INTO mirt_item_params (item_id, model, params, version) VALUES (:id, '3PL', :p, 'v1')"
        ),
        [{"id": name, "p": json.dumps({"a": i.a, "b": i.b, "c": i.c})} for name, i in CALIBRATED.items()],
    )


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


@pytest.fixture
def calendar(engine: Engine) -> Engine:
    with engine.begin() as connection:
        load(connection)
    return engine


def run_due(flow: Flow[..., Any], day: dt.date, time: dt.time, **parameters: Any) -> None:
    """Run a flow that was due at a moment, whenever it starts."""
    due = at(day, time)
    alone = flow.with_options(retries=0)
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(alone, parameters=parameters, state=Scheduled(scheduled_time=due))
        client.set_flow_run_state(made.id, Pending())
        taken = client.read_flow_run(made.id)
    given = alone.validate_parameters({"date": None} | parameters)
    run_flow(alone, flow_run=taken, parameters=given)


@pytest.mark.parametrize(
    ("day", "time", "last"),
    [
        (MONDAY + DAY, FIRST_SECOND, MONDAY),
        (NEXT_MONDAY, LAST_SECOND, NEXT_MONDAY - DAY),
        (NEXT_MONDAY + DAY, FIRST_SECOND, NEXT_MONDAY),
        *(
            pytest.param(MONDAY + k * DAY, time, MONDAY + (k - 1) * DAY, marks=pytest.mark.heavy)
            for k in range(9)
            for time in (FIRST_SECOND, LAST_SECOND)
        ),
    ],
)
def test_kpis_of_a_night_due_beside_midnight(
    day: dt.date, time: dt.time, last: dt.date, calendar: Engine
) -> None:
    run_due(compute_daily_kpis, day, time)
    with calendar.connect() as connection:
        rows = connection.execute(sa.text("SELECT user_id, week_start, kpis FROM weekly_kpi")).all()
    expected = naive.weekly_kpis(COHORT, last)
    assert {(row.user_id, row.week_start) for row in rows} == set(expected)
    for row in rows:
        wanted = expected[row.user_id, row.week_start]
        assert row.kpis == {name: pytest.approx(value, abs=1e-9) for name, value in wanted.items()}, row


def test_features_of_the_days_around_the_year_s_end(calendar: Engine) -> None:
    run_due(aggregate_features_daily, NEXT_MONDAY + DAY, FIRST_SECOND, lookback_days=8)
    with calendar.connect() as connection:
        query = sa.text("SELECT * FROM features_topic_daily ORDER BY user_id, topic_id, date")
        rows = connection.execute(query).mappings().all()
    expected = naive.topic_features(COHORT, MONDAY, NEXT_MONDAY)
    assert [(row["user_id"], row["topic_id"], row["date"]) for row in rows] == sorted(expected)
    for row in rows:
        for name, value in expected[row["user_id"], row["topic_id"], row["date"]].items():
            wanted = pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
            assert row[name] == wanted, (name, row)
