"""Webhooks: what is accepted is committed, and who may read the learner may ask what became of it."""

import datetime as dt
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.api.auth.signatures import signed_headers
from seedtest.settings import Settings
from seedtest.theta_drain import drain
from tests.api.auth.issuing import bearer, token
from tests.api.auth.key_servers import Served
from tests.db.exam_results import add_results
from tests.theta_api.services import SECRET, WEBHOOK, Service, error_of, running
from tests.theta_sessions import answered, moments_ago

NOW = "2026-11-05T09:30:00+09:00"


def requests(engine: Engine) -> dict[str, tuple[str, str]]:
    """The learner and the status of every session."""
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT session_id, user_id, status FROM theta_request"))
        return {row.session_id: (row.user_id, row.status) for row in rows}


def completed(session_id: str, user_id: str, completed_at: str = NOW) -> dict[str, str]:
    return {"session_id": session_id, "user_id": user_id, "completed_at": completed_at}


@pytest.mark.parametrize("session_id", ["s-1", "찬호/세션 7?#%", "..", "a" * 512])
def test_a_webhook_is_kept_and_says_where_to_ask(service: Service, learners: Engine, session_id: str) -> None:
    response = service.report(session_id, "ann", NOW)
    url = f"{WEBHOOK}/{quote(session_id, safe='')}"
    assert response.status_code == 202
    assert response.headers["location"] == url
    assert response.json() == {"status": "pending", "session_id": session_id, "status_url": url}
    assert requests(learners)[session_id] == ("ann", "pending")


@pytest.mark.parametrize("session_id", ["s-1", "찬호/세션 7?#%"])
def test_the_status_url_leads_to_the_status(service: Service, session_id: str) -> None:
    found = service.get(service.report(session_id, "ann", NOW).headers["location"])
    assert found.status_code == 200
    told = found.json()
    assert (told["session_id"], told["user_id"], told["status"]) == (session_id, "ann", "pending")
    assert (told["attempts"], told["reason"], told["ability"]) == (0, None, None)


def test_a_webhook_again_is_the_same_request(service: Service, learners: Engine) -> None:
    first = service.report("s-again", "ann", NOW)
    requested_at = service.get(first.headers["location"]).json()["requested_at"]
    again = service.report("s-again", "ann", NOW)
    assert (again.status_code, again.json()) == (202, first.json())
    assert service.get(first.headers["location"]).json()["requested_at"] == requested_at


def test_a_session_of_another_learner_is_409(service: Service, learners: Engine) -> None:
    service.report("s-anns", "ann", NOW)
    response = service.report("s-anns", "bob", NOW)
    assert response.status_code == 409
    assert error_of(response).startswith("user_id: session s-anns was reported for another learner")
    assert requests(learners)["s-anns"] == ("ann", "pending")


def test_one_that_is_refused_takes_no_other_with_it(service: Service, learners: Engine) -> None:
    service.report("s-taken", "ann", NOW)
    with ThreadPoolExecutor(30) as senders:
        users = ["bob" if number % 3 == 0 else "ann" for number in range(60)]
        answers = senders.map(
            lambda pair: service.report(
                "s-taken" if pair[1] == "bob" else f"s-beside-{pair[0]}", pair[1], NOW
            ),
            enumerate(users),
        )
        assert [answer.status_code for answer in answers] == [409 if u == "bob" else 202 for u in users]


def test_the_same_webhook_many_times_at_once_is_one_request(service: Service, learners: Engine) -> None:
    with ThreadPoolExecutor(20) as senders:
        answers = list(senders.map(lambda _: service.report("s-storm", "ann", NOW), range(60)))
    assert {answer.status_code for answer in answers} == {202}
    assert requests(learners)["s-storm"] == ("ann", "pending")


def test_a_token_lets_a_webhook_in_too(service: Service) -> None:
    assert service.post(WEBHOOK, completed("s-token", "ann")).status_code == 202
    refused = service.post(WEBHOOK, completed("s-token", "ann"), bearer(token(scope="reports:view")))
    assert (refused.status_code, error_of(refused)) == (403, "insufficient_scope")


def test_without_token_and_signature_it_is_401(service: Service) -> None:
    response = service.post(WEBHOOK, completed("s-2", "ann"), {})
    assert (response.status_code, error_of(response)) == (401, "Missing Authorization")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("age_secs", [-400, 400])
def test_a_signature_of_another_time_is_401(service: Service, age_secs: int) -> None:
    body = json.dumps(completed("s-old", "ann")).encode()
    headers = signed_headers(SECRET, int(time.time()) - age_secs, body)
    assert service.client.post(WEBHOOK, content=body, headers=headers).status_code == 401


def test_a_signature_of_another_body_is_401(service: Service, learners: Engine) -> None:
    headers = signed_headers(SECRET, int(time.time()), b"{}")
    body = json.dumps(completed("s-forged", "ann")).encode()
    assert service.client.post(WEBHOOK, content=body, headers=headers).status_code == 401
    assert "s-forged" not in requests(learners)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "session_id required"),
        ({"session_id": "s"}, "user_id required"),
        ({"session_id": "s", "user_id": "u"}, "completed_at required"),
        (completed("", "u"), "session_id required"),
        (completed("s\x00", "u"), "session_id: the character NUL cannot be stored"),
        (completed("s", "u", "2026-11-05T09:30:00"), "completed_at: Input should have timezone info"),
        (completed("s", "u", "1767225600"), "completed_at: write it as 2026-11-05T09:30:00Z"),
        (
            completed("s", "u") | {"completed_at": 1767225600},
            "completed_at: write it as 2026-11-05T09:30:00Z",
        ),
    ],
)
def test_an_invalid_body_is_400_and_named(service: Service, body: dict[str, str], error: str) -> None:
    response = service.post(WEBHOOK, body)
    assert (response.status_code, error_of(response)) == (400, f"invalid body: {error}")


def test_who_may_read_the_learner_is_told_the_ability(service: Service, learners: Engine) -> None:
    with learners.begin() as connection:
        add_results(connection, answered("dora", "s-dora", moments_ago()))
    url = service.report("s-dora", "dora", dt.datetime.now(dt.UTC).isoformat()).headers["location"]
    nobodys = service.report("s-nobody", "nobody", NOW).headers["location"]
    drain(learners, Settings())
    told = service.get(url, bearer(token(sub="dora", scope=None))).json()
    assert (told["status"], told["attempts"], told["reason"]) == ("done", 1, None)
    with learners.connect() as connection:
        query = "SELECT theta, se FROM mirt_ability WHERE user_id = 'dora' AND source = 'online'"
        row = connection.execute(sa.text(query)).one()
    assert (told["ability"]["theta"], told["ability"]["se"]) == (row.theta, row.se)
    assert told["ability"]["as_of"] == told["ability_as_of"]
    noop = service.get(nobodys).json()
    assert (noop["status"], noop["ability"]) == ("noop", None)
    assert noop["reason"]


def test_others_are_not_told(service: Service) -> None:
    url = service.report("s-3", "ann", NOW).headers["location"]
    for path in (url, f"{WEBHOOK}/never-reported"):
        refused = service.get(path, bearer(token(sub="bob", scope="exam:write")))
        assert (refused.status_code, error_of(refused)) == (403, "insufficient_scope")
    unknown = service.get(f"{WEBHOOK}/never-reported")
    assert unknown.status_code == 404
    assert service.get(url, {}).status_code == 401


def test_what_was_accepted_outlives_a_kill(
    learners: Engine, learners_url: str, keys: Served, folder: Path
) -> None:
    accepted = set()
    with running(folder, learners_url, keys.url) as service, ThreadPoolExecutor(16) as senders:

        def send(number: int) -> None:
            if service.report(f"s-kill-{number}", "ann", NOW).status_code == 202:
                accepted.add(f"s-kill-{number}")

        sent = [senders.submit(send, number) for number in range(600)]
        while len(accepted) < 100:
            time.sleep(0.005)
        service.process.kill()
        failed = [one.exception() for one in sent if one.exception() is not None]
    assert failed
    assert accepted <= set(requests(learners))


def test_a_service_that_is_asked_to_stop_answers_what_it_has_begun(
    learners: Engine, learners_url: str, keys: Served, folder: Path
) -> None:
    with running(folder, learners_url, keys.url) as service, ThreadPoolExecutor(4) as senders:
        with learners.begin() as connection:
            connection.execute(sa.text("LOCK TABLE theta_request IN ACCESS EXCLUSIVE MODE"))
            waiting = [senders.submit(service.report, f"s-stop-{n}", "ann", NOW) for n in range(4)]
            time.sleep(0.5)
            service.process.terminate()
            time.sleep(0.5)
        assert {one.result().status_code for one in waiting} == {202}
        assert service.process.wait(timeout=20) in {0, -15}
    assert {f"s-stop-{n}" for n in range(4)} <= set(requests(learners))
    assert not [line for line in service.lines() if line["level"] == "ERROR"]
