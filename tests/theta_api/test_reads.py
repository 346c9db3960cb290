"""Reads of a learner's data: who may, and what they are told."""

import datetime as dt
import json
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.api.auth.issuing import bearer, token
from tests.theta_api.services import HISTORY, PREFIX, WEEKLY, Service, error_of

USER = "찬호/a b+c"
DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
MONDAY = dt.date(2026, 8, 31)
REPORT = f"{PREFIX}/reports/ann/2026-10-26.html"
READS = [(HISTORY, {"user_id": "ann"}), (WEEKLY, {"user_id": "ann"}), (REPORT, {})]


@pytest.fixture(scope="module", autouse=True)
def _stored(learners: Engine) -> None:
    abilities = [
        {"user_id": USER, "source": source, "as_of": START + number * DAY, "theta": number / 10}
        for number, source in enumerate(["calibration", "online"] * 3)
    ]
    weeks = [
        {
            "week_start": MONDAY + 7 * number * DAY,
            "kpis": json.dumps({"I_t": None, "P": number / 10, "sigma": 1}),
        }
        for number in range(10)
    ]
    with learners.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO mirt_ability (user_id, version, source, as_of, theta, se, model)"
                " VALUES (:user_id, 'v1', :source, :as_of, :theta, 0.3, '2PL')"
            ),
            abilities,
        )
        connection.execute(
            sa.text(
                f"INSERT INTO weekly_kpi (user_id, week_start, kpis)"
                f" VALUES ('{USER}', :week_start, CAST(:kpis AS jsonb))"
            ),
            weeks,
        )


def test_the_history_is_told_from_old_to_new(service: Service) -> None:
    told = service.get(HISTORY, query={"user_id": USER}).json()
    assert told["user_id"] == USER
    assert [row["theta"] for row in told["abilities"]] == [number / 10 for number in range(6)]
    assert told["abilities"][1] | {"fitted_at": ""} == {
        "theta": 0.1,
        "se": 0.3,
        "model": "2PL",
        "version": "v1",
        "source": "online",
        "as_of": "2026-10-02T12:00:00Z",
        "fitted_at": "",
    }


@pytest.mark.parametrize(
    ("since", "n"),
    [("2026-10-04T12:00:00Z", 3), ("2026-10-04T21:00:00+09:00", 3), ("2026-10-04T12:00:01Z", 2)],
)
def test_the_history_begins_where_one_asks(service: Service, since: str, n: int) -> None:
    assert len(service.get(HISTORY, query={"user_id": USER, "since": since}).json()["abilities"]) == n


def test_weeks_are_the_newest_from_old_to_new(service: Service) -> None:
    told = service.get(WEEKLY, query={"user_id": USER, "weeks": 3}).json()
    assert [week["week_start"] for week in told["weeks"]] == ["2026-10-19", "2026-10-26", "2026-11-02"]
    assert told["weeks"][-1]["kpis"] == {"I_t": None, "P": 0.9, "sigma": 1}
    assert len(service.get(WEEKLY, query={"user_id": USER}).json()["weeks"]) == 8


@pytest.mark.parametrize(("path", "field"), [(HISTORY, "abilities"), (WEEKLY, "weeks")])
def test_of_an_unknown_learner_nothing_is_told(service: Service, path: str, field: str) -> None:
    response = service.get(path, query={"user_id": "nobody"})
    assert (response.status_code, response.json()) == (200, {"user_id": "nobody", field: []})


@pytest.mark.parametrize(("path", "query"), READS)
@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        ({"sub": "ann", "scope": None}, True),
        ({"sub": "bob", "scope": "reports:view"}, True),
        ({"sub": "bob", "scope": ["analysis:run"]}, True),
        ({"sub": None, "scope": "reports:view"}, True),
        ({"sub": "bob", "scope": "exam:write"}, False),
        ({"sub": None, "scope": None}, False),
        ({"sub": "ANN", "scope": None}, False),
    ],
)
def test_a_learners_data_are_told_to_them_and_to_whom_may_read_all(
    service: Service, path: str, query: dict[str, str], claims: dict[str, Any], allowed: bool
) -> None:
    response = service.get(path, bearer(token(**claims)), query)
    if allowed:
        assert response.status_code in {200, 404}
    else:
        assert (response.status_code, error_of(response)) == (403, "insufficient_scope")
        assert 'error="insufficient_scope"' in response.headers["www-authenticate"]


@pytest.mark.parametrize(("path", "query"), READS)
def test_without_a_token_nothing_is_told(service: Service, path: str, query: dict[str, str]) -> None:
    response = service.get(path, {}, query)
    assert (response.status_code, error_of(response)) == (401, "Missing Authorization")


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        (HISTORY, {}, "invalid query: user_id: required"),
        (WEEKLY, {"user_id": ""}, "invalid query: user_id: String should have at least 1 character"),
        (
            HISTORY,
            {"user_id": "a", "since": "yesterday"},
            "invalid query: since: write it as 2026-11-05T09:30:00Z",
        ),
        (
            HISTORY,
            {"user_id": "a", "since": "2026-11-05"},
            "invalid query: since: Input should have timezone info",
        ),
        (
            WEEKLY,
            {"user_id": "a", "weeks": "0"},
            "invalid query: weeks: Input should be greater than or equal to 1",
        ),
        (f"{PREFIX}/reports/a/tuesday.html", {}, "invalid path: week_start"),
        (f"{PREFIX}/reports/a/2026-10-26.docx", {}, "invalid path: format: Input should be 'html' or 'pdf'"),
    ],
)
def test_an_invalid_parameter_is_400_and_named(
    service: Service, path: str, query: dict[str, str], error: str
) -> None:
    response = service.get(path, query=query)
    assert response.status_code == 400
    assert error_of(response).startswith(error)
