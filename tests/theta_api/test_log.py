"""The log under load, at debug level: a line for each request, and nothing of who asks for whom."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from tests.api.auth.issuing import bearer, token
from tests.api.auth.key_servers import Served
from tests.db.exam_results import add_results
from tests.theta_api.services import HISTORY, PREFIX, SECRET, UPDATE, WEBHOOK, WEEKLY, running
from tests.theta_sessions import answered, moments_ago

pytestmark = pytest.mark.heavy

LEARNER, SESSION, SUBJECT = "learner-xq7", "session-xq7", "caller-xq7"
NOW = "2026-11-05T09:30:00Z"
N = 60


def test_no_line_has_a_secret_a_token_or_an_id(
    learners: Engine, learners_url: str, keys: Served, folder: Path
) -> None:
    with learners.begin() as connection:
        add_results(connection, answered(LEARNER, SESSION, moments_ago()))
    password = "a-password-xq7"
    url = learners_url.replace("postgres@", f"postgres:{password}@")
    given = token(sub=SUBJECT)
    bad = bearer(token(sub=SUBJECT, exp=1, iat=1))
    with (
        running(folder, url, keys.url, "--log-level", "debug") as service,
        ThreadPoolExecutor(8) as callers,
    ):
        good = bearer(given)

        def ask(number: int) -> list[int]:
            answers = [
                service.post(UPDATE, {"user_id": LEARNER, "session_id": SESSION}, good),
                service.report(f"{SESSION}-{number}", LEARNER, NOW),
                service.report(SESSION, f"{LEARNER}-{number}", NOW),
                service.get(HISTORY, good, query={"user_id": LEARNER}),
                service.get(WEEKLY, good, query={"user_id": LEARNER}),
                service.get(f"{PREFIX}/reports/{LEARNER}/2026-10-26.html", good),
                service.get(f"{WEBHOOK}/{SESSION}", good),
                service.get(f"/{LEARNER}", good),
                service.post(UPDATE, {"user_id": LEARNER}, bad),
                service.post(UPDATE, {"user_id": LEARNER, "model": LEARNER}, good),
            ]
            return [answer.status_code for answer in answers]

        statuses = {status for asked in callers.map(ask, range(N)) for status in asked}
    assert statuses >= {200, 202, 400, 401, 404, 409}
    lines = service.lines()
    assert len([line for line in lines if "status" in line]) >= 10 * N
    assert all(len(line["request_id"]) == 32 for line in lines if "status" in line)
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))
    text = service.log.read_text()
    for hidden in ("xq7", given, given.split(".")[1], SECRET, "Bearer", "Q1", "is_correct"):
        assert hidden not in text
