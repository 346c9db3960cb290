"""POST analysis/irt/update-theta, word for word as the contract has it."""

import datetime as dt
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.online import update_theta
from seedtest.settings import Settings
from tests.api.auth.issuing import FOREIGN, bearer, claims, segment, token
from tests.api.auth.key_servers import Served
from tests.db.exam_results import add_results
from tests.irt_service.services import free_port
from tests.theta_api.services import UPDATE, Service, error_of, running
from tests.theta_sessions import answered, moments_ago, report

SPOIL = "UPDATE mirt_item_params SET params = jsonb_set(params, '{a}', '-1') WHERE item_id = 'Q3'"
MEND = "UPDATE mirt_item_params SET params = jsonb_set(params, '{a}', '1.3') WHERE item_id = 'Q3'"
NOOP = "theta_update_failed: no attempts found or R IRT service unavailable"


@pytest.fixture(scope="module", autouse=True)
def _sessions(learners: Engine) -> None:
    with learners.begin() as connection:
        add_results(
            connection,
            *(answered(user_id, f"s-{user_id}", moments_ago()) for user_id in ("ann", "bob", "찬호")),
            answered("early", "s-early", moments_ago() - dt.timedelta(days=20)),
        )


@contextmanager
def changed(engine: Engine, change: str, back: str) -> Iterator[None]:
    """Change the database for a while."""
    with engine.begin() as connection:
        connection.execute(sa.text(change))
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text(back))


@pytest.mark.parametrize("user_id", ["ann", "찬호"])
def test_the_answer_is_what_the_core_computes_and_the_table_holds(
    service: Service, learners: Engine, user_id: str
) -> None:
    response = service.post(UPDATE, {"user_id": user_id})
    assert response.status_code == 200
    answer = response.json()
    with learners.begin() as connection:
        expected = update_theta(connection, user_id, settings=Settings(), lookback_days=30)
        query = "SELECT theta, se, model, version, fitted_at FROM mirt_ability WHERE user_id = :user_id"
        row = connection.execute(sa.text(query), {"user_id": user_id}).one()
    assert answer == {
        "status": "ok",
        "user_id": user_id,
        "theta": expected.theta,
        "se": expected.se,
        "model": "2PL",
        "version": "v1",
        "updated_at": answer["updated_at"],
    }
    assert (answer["theta"], answer["se"]) == (row.theta, row.se)
    assert dt.datetime.fromisoformat(answer["updated_at"]) == row.fitted_at


def test_a_learner_without_attempts_gets_the_noop_body(service: Service) -> None:
    response = service.post(UPDATE, {"user_id": "nobody"})
    assert response.status_code == 200
    assert response.json() == {"status": "noop", "user_id": "nobody", "message": NOOP}


def test_only_answers_of_the_last_days_count(service: Service) -> None:
    assert service.post(UPDATE, {"user_id": "early", "lookback_days": 10}).json()["status"] == "noop"
    assert service.post(UPDATE, {"user_id": "early", "lookback_days": 30}).json()["status"] == "ok"
    assert service.post(UPDATE, {"user_id": "early"}).json()["status"] == "ok"


def test_the_answer_states_the_fit_in_force_whatever_the_caller_expects(service: Service) -> None:
    asked = {"user_id": "ann", "model": "3PL", "version": "v7", "lookback_days": 30}
    answer = service.post(UPDATE, asked).json()
    assert (answer["status"], answer["model"], answer["version"]) == ("ok", "2PL", "v1")


def test_the_sessions_own_request_stays_for_the_flow(service: Service, learners: Engine) -> None:
    report(learners, "bob")
    assert service.post(UPDATE, {"user_id": "bob", "session_id": "s-bob"}).json()["status"] == "ok"
    with learners.connect() as connection:
        query = "SELECT status FROM theta_request WHERE session_id = 's-bob'"
        assert connection.scalar(sa.text(query)) == "pending"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{}", "user_id required"),
        (b'{"user_id": ""}', "user_id required"),
        (b'{"user_id": null}', "user_id: Input should be a valid string"),
        (b'{"user_id": 7}', "user_id: Input should be a valid string"),
        (b'{"user_id": "a\\u0000"}', "user_id: the character NUL cannot be stored"),
        (b'{"user_id": "' + b"x" * 513 + b'"}', "user_id: String should have at most 512 characters"),
        (b'{"user_id": "a", "session_id": 1}', "session_id: Input should be a valid string"),
        (
            b'{"user_id": "a", "lookback_days": 0}',
            "lookback_days: Input should be greater than or equal to 1",
        ),
        (b'{"user_id": "a", "lookback_days": "30"}', "lookback_days: Input should be a valid integer"),
        (b'{"user_id": "a", "lookback_days": 1e99}', "lookback_days: Input should be a valid integer"),
        (b'{"user_id": "a", "model": "4PL"}', "model: Input should be 'Rasch', '1PL', '2PL' or '3PL'"),
        (b'{"user_id": "a", "version": ""}', "version required"),
        (b"[]", "Input should be an object"),
        (b"", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"user_id": "a"', "Invalid JSON: EOF while parsing an object at line 1 column 15"),
        (b"[" * 9999, "Invalid JSON: recursion limit exceeded at line 1 column 202"),
    ],
)
def test_an_invalid_body_is_400_and_named(service: Service, body: bytes, error: str) -> None:
    response = service.client.post(UPDATE, content=body, headers=bearer(token()))
    assert (response.status_code, error_of(response)) == (400, f"invalid body: {error}")


INVALID_TOKEN = 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    ("authorization", "error", "challenge"),
    [
        (None, "Missing Authorization", "Bearer"),
        ("Basic YTpi", "Authorization must be one header of the form: Bearer <token>.", "Bearer"),
        (f"Bearer {token(iat=1, exp=2)}", "The token has expired.", INVALID_TOKEN),
        (f"Bearer {token(aud='another')}", "The token is for another audience.", INVALID_TOKEN),
        (f"Bearer {token(iss='another')}", "The token is from another issuer.", INVALID_TOKEN),
        (f"Bearer {token(exp=None)}", "The token has no claim exp.", INVALID_TOKEN),
        (
            f"Bearer {token(headers={'kid': 'unknown'})}",
            "The token is signed with a key that its issuer does not publish.",
            INVALID_TOKEN,
        ),
        (f"Bearer {token(key=FOREIGN)}", "The token's signature is wrong.", INVALID_TOKEN),
        (
            f"Bearer {segment({'alg': 'none'})}.{segment(claims())}.",
            "The token is not signed with RS256.",
            INVALID_TOKEN,
        ),
        (f"Bearer {'x' * 9000}", "The token is longer than 8192 characters.", INVALID_TOKEN),
    ],
)
def test_without_a_good_token_it_is_401(
    service: Service, authorization: str | None, error: str, challenge: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    response = service.post(UPDATE, {"user_id": "ann"}, headers)
    assert (response.status_code, error_of(response)) == (401, error)
    assert response.headers["www-authenticate"] == challenge


@pytest.mark.parametrize("scope", [None, "", "reports:view", ["reports:view", "exam:read"]])
def test_without_a_scope_that_suffices_it_is_403(service: Service, scope: Any) -> None:
    response = service.post(UPDATE, {"user_id": "ann"}, bearer(token(scope=scope)))
    assert (response.status_code, error_of(response)) == (403, "insufficient_scope")
    expected = 'Bearer error="insufficient_scope", scope="analysis:run exam:write"'
    assert response.headers["www-authenticate"] == expected


@pytest.mark.parametrize("scope", ["analysis:run", "exam:write", ["exam:write", "x"], "x analysis:run"])
def test_any_of_two_scopes_suffices(service: Service, scope: Any) -> None:
    assert service.post(UPDATE, {"user_id": "ann"}, bearer(token(scope=scope))).status_code == 200


def test_keys_that_cannot_be_fetched_are_503(learners_url: str, folder: Path, keys: Served) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/jwks.json"
    with running(folder, learners_url, nowhere) as service:
        response = service.post(UPDATE, {"user_id": "ann"})
        assert response.status_code == 503
        assert error_of(response).startswith("The token cannot be checked: ")
        assert int(response.headers["retry-after"]) >= 1
        assert service.client.get("/readyz").json()["checks"]["key_set"]["ok"] is False


def test_keys_rotate_without_a_restart(service: Service, keys: Served) -> None:
    from tests.api.auth.issuing import key_set, published

    before, rotated = keys.document, token(key=FOREIGN, headers={"kid": "key-2"})
    keys.document = key_set(published("key-2", FOREIGN), *json.loads(before)["keys"])
    try:
        end = time.monotonic() + 20
        while (status := service.post(UPDATE, {"user_id": "ann"}, bearer(rotated)).status_code) == 401:
            assert time.monotonic() < end
            time.sleep(0.5)
        assert status == 200
    finally:
        keys.document = before


def test_an_item_that_cannot_be_scored_is_500_and_named(service: Service, learners: Engine) -> None:
    with changed(learners, SPOIL, MEND):
        response = service.post(UPDATE, {"user_id": "ann"})
    assert response.status_code == 500
    assert error_of(response).startswith("theta_update_failed: Item 'Q3' cannot be scored")


def test_any_other_failure_is_500_and_says_only_where_to_look(service: Service, learners: Engine) -> None:
    away, back = (
        "ALTER TABLE student_topic_theta RENAME TO away",
        "ALTER TABLE away RENAME TO student_topic_theta",
    )
    with changed(learners, away, back):
        response = service.post(UPDATE, {"user_id": "ann"})
    assert response.status_code == 500
    request_id = response.headers["x-request-id"]
    where = f"the log of the service has the details of request {request_id}."
    assert error_of(response) == f"theta_update_failed: {where}"
    (line,) = [line for line in service.lines() if line["level"] == "ERROR" and "sqlstate" in line]
    assert (line["request_id"], line["kind"], line["sqlstate"]) == (request_id, "ProgrammingError", "42P01")
    assert any("online.py" in place for place in line["raised"])


def test_outcomes_are_counted(service: Service, learners: Engine) -> None:
    series = [f'theta_update_total{{status="{status}"}}' for status in ("ok", "noop", "error")]
    series.append("theta_update_duration_seconds_count")
    before = [service.metric(name) for name in series]
    service.post(UPDATE, {"user_id": "ann"})
    service.post(UPDATE, {"user_id": "nobody"})
    with changed(learners, SPOIL, MEND):
        service.post(UPDATE, {"user_id": "ann"})
    # What was refused before it began is no update.
    service.post(UPDATE, {})
    assert [service.metric(name) - n for name, n in zip(series, before, strict=True)] == [1, 1, 1, 3]
