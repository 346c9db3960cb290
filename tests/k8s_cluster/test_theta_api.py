"""From the end of a session to its θ, through the API's pod, Prefect and the worker's pod."""

import datetime as dt
import json
import secrets
import time
from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.api.auth.signatures import signed_headers
from seedtest.theta_queue import SessionCompleted, accept
from tests.api.auth.issuing import bearer, token
from tests.db.exam_results import add_results, result
from tests.k8s_cluster.cluster import Cluster, eventually
from tests.k8s_cluster.conftest import READY, WEEK
from tests.k8s_cluster.forwarding import forwarded
from tests.k8s_cluster.runs import Operator

API = "seedtest-api"
WEBHOOK = "/api/seedtest/webhooks/session-completed"
THETA_SECS = 60
# The API looks at Prefect every half minute.
METRICS_SECS = 90
SESSION_ITEMS = 12


@pytest.fixture
def api(calibrated: Operator, cluster: Cluster) -> Iterator[httpx.Client]:
    """A client of the API, from outside of the cluster."""
    with forwarded(cluster, API, 80) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def ended_session(answers: Engine) -> SessionCompleted:
    """Add a session of a learner who is new, answered on calibrated items a moment ago."""
    name = secrets.token_hex(4)
    at = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    with answers.begin() as connection:
        query = "SELECT item_id FROM mirt_item_params ORDER BY item_id LIMIT :n"
        items = connection.scalars(sa.text(query), {"n": SESSION_ITEMS}).all()
        questions = [
            {"question_id": item, "is_correct": number % 3 > 0, "time_spent_sec": 20}
            for number, item in enumerate(items)
        ]
        row = result(*questions, user_id=f"learner-{name}", session_id=f"session-{name}", completed_at=at)
        add_results(connection, row)
    return SessionCompleted(f"session-{name}", f"learner-{name}", at)


def theta_of(answers: Engine, user_id: str) -> float | None:
    query = "SELECT theta FROM mirt_ability WHERE user_id = :user AND source = 'online'"
    with answers.connect() as connection:
        theta: float | None = connection.scalar(sa.text(query), {"user": user_id})
    return theta


def webhook(ended: SessionCompleted) -> bytes:
    body = {
        "session_id": ended.session_id,
        "user_id": ended.user_id,
        "completed_at": ended.completed_at.isoformat(),
    }
    return json.dumps(body).encode()


def test_the_api_is_ready_once_its_tables_are(api: httpx.Client, cluster: Cluster) -> None:
    (pod,) = cluster.listed("pods", "--selector", f"app={API}")
    (migrate,) = pod["status"]["initContainerStatuses"]
    assert (migrate["name"], migrate["state"]["terminated"]["exitCode"]) == ("migrate", 0)
    answer = api.get("/readyz")
    assert answer.json()["status"] == "ready", answer.text


def test_a_signed_webhook_leads_to_a_theta(api: httpx.Client, answers: Engine, webhook_secret: str) -> None:
    ended = ended_session(answers)
    body = webhook(ended)
    answer = api.post(WEBHOOK, content=body, headers=signed_headers(webhook_secret, int(time.time()), body))
    assert answer.status_code == 202, answer.text
    reader = bearer(token(scope="reports:view"))

    def status() -> str:
        told: str = api.get(answer.headers["Location"], headers=reader).json()["status"]
        return "" if told == "pending" else told

    assert eventually(status, THETA_SECS, "the session's θ") == "done"
    assert theta_of(answers, ended.user_id) is not None


def test_a_webhook_signed_with_another_secret_is_refused(api: httpx.Client, answers: Engine) -> None:
    body = webhook(ended_session(answers))
    answer = api.post(WEBHOOK, content=body, headers=signed_headers("another", int(time.time()), body))
    assert answer.status_code == 401


def test_a_theta_can_be_asked_for_at_once(api: httpx.Client, answers: Engine) -> None:
    ended = ended_session(answers)
    answer = api.post(
        "/api/seedtest/analysis/irt/update-theta",
        json={"user_id": ended.user_id},
        headers=bearer(token(scope="analysis:run")),
    )
    assert answer.json()["status"] == "ok", answer.text
    assert theta_of(answers, ended.user_id) == answer.json()["theta"]


def test_what_was_triggered_while_the_api_was_away_is_swept(
    calibrated: Operator, cluster: Cluster, answers: Engine
) -> None:
    cluster.kubectl("scale", f"deployment/{API}", "--replicas=0")
    try:
        eventually(lambda: not cluster.listed("pods", "--selector", f"app={API}"), THETA_SECS, "no API")
        ended = ended_session(answers)
        with answers.begin() as connection:
            accept(connection, ended)
        calibrated.start("theta-sweep").reaches("Completed")
        assert theta_of(answers, ended.user_id) is not None
    finally:
        cluster.kubectl("scale", f"deployment/{API}", "--replicas=1")
        cluster.rolled_out(API, READY)


def test_the_metrics_tell_how_the_flows_run(api: httpx.Client) -> None:
    line = 'seedtest_flow_runs{deployment="nightly",state="completed"}'

    def completed() -> float:
        lines = [told for told in api.get("/metrics").text.splitlines() if told.startswith(line)]
        return float(lines[0].split()[-1]) if lines else 0.0

    assert eventually(completed, METRICS_SECS, "the nightly run in the metrics") >= 1


def test_a_report_s_link_opens_it(api: httpx.Client, calibrated: Operator, answers: Engine) -> None:
    with answers.connect() as connection:
        user = connection.scalar(sa.text("SELECT min(user_id) FROM weekly_kpi"))
    calibrated.start("generate-weekly-report", week=str(WEEK), user=user).reaches("Completed")
    reader = bearer(token(scope=None, sub=user))
    answer = api.get(f"/api/seedtest/reports/{user}/{WEEK}.pdf", headers=reader)
    assert answer.status_code == 302, answer.text
    assert httpx.get(answer.headers["Location"], timeout=30).content.startswith(b"%PDF")
