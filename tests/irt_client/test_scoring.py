"""θ by the service's `/irt/score`: what is sent, what is believed, and how soon the client gives up."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.errors import CalibrationError, ConfigurationError, IrtServiceError
from seedtest.irt import AbilityEstimate, ItemParameters, Prior
from seedtest.irt_client import HttpScorer
from seedtest.irt_client.scoring import LONGEST_CALL_SECS, LONGEST_FIRST_DELAY_SECS
from seedtest.online import NoopReason, update_thetas
from seedtest.settings import load_settings
from tests.irt_client.conftest import TOKEN
from tests.irt_client.service import Behaviour, Exchange, Service, http, says
from tests.online_answers import NOW, abilities, publish, sit, topics

ITEMS = ItemParameters.from_values(
    ["Q1", "it's", "찬호"], a=[0.8, 1.2, 1.5], b=[-1.0, 0.0, 1 / 3], c=[0, 0, 0.2]
)
PRIOR = Prior(0.3, 1.2)
ANSWER = {"status": "ok", "theta": 0.25, "standard_error": 0.5, "n_items": 2}


def configured(address: str, **settings: Any) -> dict[str, Any]:
    given = {"r_irt_base_url": address, "r_irt_internal_token": TOKEN, "mirt_retry_delay_secs": 0.01}
    return given | settings


def scorer_at(address: str, **settings: Any) -> HttpScorer:
    return HttpScorer.from_settings(load_settings(**configured(address, **settings)), ITEMS, PRIOR)


def hang(exchange: Exchange) -> None:
    exchange.hang()


# -- one call ------------------------------------------------------------------------------------------


def test_a_call_sends_the_answers_their_items_and_the_prior(service: Service) -> None:
    service.behaviours = [says(200, ANSWER)]
    estimate = scorer_at(service.address).one(["찬호", "Q1", "unknown"], [True, False, True])
    assert estimate == AbilityEstimate(0.25, 0.5, 2)
    (received,) = service.received
    assert received.target == "/irt/score"
    assert received.headers["authorization"] == f"Bearer {TOKEN}"
    assert received.body == {
        "item_params": {"찬호": {"a": 1.5, "b": 1 / 3, "c": 0.2}, "Q1": {"a": 0.8, "b": -1.0, "c": 0.0}},
        "responses": [
            {"item_id": "찬호", "is_correct": True},
            {"item_id": "Q1", "is_correct": False},
            {"item_id": "unknown", "is_correct": True},
        ],
        "prior": {"mean": 0.3, "sd": 1.2},
    }


@pytest.mark.parametrize(
    ("behaviour", "reason", "calls"),
    [
        (says(500, {"error": "out of memory"}), "HTTP 500: out of memory$", 3),
        (says(200, b"<html>"), "is not JSON", 3),
        (says(401, {"error": "bad token"}), "HTTP 401: bad token: the token was refused", 1),
        (says(200, ANSWER | {"theta": float("nan")}), "invalid answer: theta is NaN", 1),
        (says(200, ANSWER | {"standard_error": -0.1}), "invalid answer: standard_error is -0.1", 1),
        (says(200, ANSWER | {"n_items": 0}), "invalid answer: n_items is 0", 1),
        (says(200, ANSWER | {"status": "noop"}), "invalid answer: status is 'noop'", 1),
        (says(200, {"status": "ok"}), "invalid answer: theta", 1),
        (says(200, b" " * 20_000), "the answer is longer than 16384 bytes", 1),
    ],
)
def test_what_the_service_does_wrong_is_told(
    service: Service, behaviour: Behaviour, reason: str, calls: int
) -> None:
    service.behaviours = [behaviour]
    with pytest.raises(
        IrtServiceError, match=f"^R IRT service call failed after {calls} attempts: "
    ) as error:
        scorer_at(service.address).one(["Q1"], [True])
    assert re.search(reason, str(error.value))
    assert TOKEN not in str(error.value)
    assert service.n_connections == calls


def test_answers_that_give_no_theta_are_no_fault_of_the_service(service: Service) -> None:
    service.behaviours = [says(422, {"error": "nothing to score"})]
    with pytest.raises(CalibrationError, match="nothing to score"):
        scorer_at(service.address).one(["Q1"], [True])


def test_a_failure_that_passes_costs_a_moment(service: Service) -> None:
    service.behaviours = [says(503, {"error": "busy"}, "Retry-After: 60"), says(200, ANSWER)]
    begun = time.monotonic()
    scorer_at(service.address, mirt_retry_delay_secs=5).one(["Q1"], [True])
    assert time.monotonic() - begun < LONGEST_FIRST_DELAY_SECS + 2


def test_times_meant_for_a_fit_are_shortened_and_short_ones_kept() -> None:
    patient = scorer_at("http://localhost", mirt_retry_delay_secs=5, r_irt_timeout_secs=60)
    assert patient.endpoint.timeout_secs == LONGEST_CALL_SECS
    assert patient.retries.delay_secs(1, asked_secs=120) == LONGEST_FIRST_DELAY_SECS
    hasty = scorer_at("http://localhost", mirt_retry_delay_secs=0.01, r_irt_timeout_secs=0.5)
    assert (hasty.endpoint.timeout_secs, hasty.retries.first_delay_secs) == (0.5, 0.01)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="R_IRT_BASE_URL"):
        scorer_at("http://user:password@host")


# -- many learners -------------------------------------------------------------------------------------


def test_a_service_that_is_down_is_not_called_for_every_learner(service: Service) -> None:
    service.behaviours = [hang]
    scorer = scorer_at(service.address, r_irt_timeout_secs=0.1, mirt_max_retries=2)
    begun = time.monotonic()
    assert scorer.many([(["Q1"], [True])] * 500) == [None] * 500
    assert time.monotonic() - begun < 5
    assert service.n_connections <= 2 * 8


def test_a_refusal_of_one_learners_answers_is_that_learners_alone(service: Service) -> None:
    def refuse_one(exchange: Exchange) -> None:
        exchange.read_request()
        is_bad = exchange.received[-1].body["responses"][0]["item_id"] == "it's"
        status, content = (400, {"error": "item_params"}) if is_bad else (200, ANSWER)
        exchange.send(http(status, json.dumps(content).encode()))

    service.behaviours = [refuse_one]
    found = scorer_at(service.address).many([([item_id], [True]) for item_id in ("Q1", "it's", "찬호")])
    assert found == [AbilityEstimate(0.25, 0.5, 2), None, AbilityEstimate(0.25, 0.5, 2)]


# -- θ after a session, by the service -----------------------------------------------------------------


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        publish(connection)
        sit(connection, Q1=True, Q2=False)
        sit(connection, "bob", Q1=True)
        sit(connection, "cem", new1=True)
        connection.commit()
        yield connection


def test_the_services_theta_is_stored(service: Service, connection: Connection) -> None:
    service.behaviours = [says(200, ANSWER)]
    settings = load_settings(**configured(service.address, irt_engine="http"))
    ann, cem = update_thetas(connection, ["ann", "cem"], settings=settings, lookback_days=30, now=NOW)
    assert (ann.status, ann.theta, ann.se) == ("ok", 0.25, 0.5)
    assert cem.reason is NoopReason.NOT_CALIBRATED
    assert [row[4:6] for row in abilities(connection)] == [(0.25, 0.5)]
    assert [row[1] for row in topics(connection)] == ["algebra", "geometry"]
    assert len(service.received) == 1


def test_an_engine_that_is_down_leaves_everything_as_it_was(
    service: Service, connection: Connection, core_log: list[str]
) -> None:
    service.behaviours = [says(503, {"error": "starting"})]
    settings = load_settings(**configured(service.address, irt_engine="http"))
    updates = update_thetas(connection, ["ann", "bob", "cem"], settings=settings, lookback_days=30, now=NOW)
    assert [update.reason for update in updates] == [
        NoopReason.ENGINE_DOWN,
        NoopReason.ENGINE_DOWN,
        NoopReason.NOT_CALIBRATED,
    ]
    assert (abilities(connection), topics(connection)) == ([], [])
    assert "R IRT service call failed after 3 attempts: HTTP 503: starting" in core_log
    assert connection.scalar(sa.text("SELECT 1")) == 1
