"""What the service needs goes away and comes back; what is missing from the start is named."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedtest.db import migrate
from seedtest.db.engine import create_engine
from seedtest.local.postgres import EmbeddedPostgres
from tests.api.auth.key_servers import Served
from tests.theta_api.services import HISTORY, PATIENCE_SECS, UPDATE, Service, error_of, running
from tests.theta_sessions import add_items

pytestmark = pytest.mark.heavy

NOW = "2026-11-05T09:30:00Z"


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server that tests may stop."""
    with tempfile.TemporaryDirectory(prefix="seedtest-test-") as folder:
        server = EmbeddedPostgres(Path(folder) / "home", durable=False)
        server.start()
        migrate.upgrade(server.url())
        engine = create_engine(server.url())
        with engine.begin() as connection:
            add_items(connection)
        engine.dispose()
        yield server
        server.remove()


@pytest.fixture(scope="module")
def shaken(postgres: EmbeddedPostgres, keys: Served, folder: Path) -> Iterator[Service]:
    with running(folder, postgres.url(), keys.url) as found:
        yield found


def wait_for(service: Service, status_code: int) -> None:
    end = time.monotonic() + PATIENCE_SECS
    while service.client.get("/readyz").status_code != status_code:
        assert time.monotonic() < end, service.client.get("/readyz").text
        time.sleep(0.2)


def test_without_its_database_the_service_says_so_and_recovers(
    shaken: Service, postgres: EmbeddedPostgres
) -> None:
    assert shaken.post(UPDATE, {"user_id": "ann"}).status_code == 200
    assert shaken.report("s-before", "ann", NOW).status_code == 202
    postgres.stop()
    answers = [
        shaken.post(UPDATE, {"user_id": "ann"}),
        shaken.get(HISTORY, query={"user_id": "ann"}),
        shaken.report("s-during", "ann", NOW),
    ]
    for answer in answers:
        assert (answer.status_code, error_of(answer)) == (503, "The database does not answer; try again.")
        assert int(answer.headers["retry-after"]) >= 1
    wait_for(shaken, 503)
    assert shaken.client.get("/readyz").json()["checks"]["database"]["ok"] is False
    assert shaken.client.get("/healthz").status_code == 200
    postgres.start()
    assert shaken.post(UPDATE, {"user_id": "ann"}).status_code == 200
    assert shaken.report("s-after", "ann", NOW).status_code == 202
    wait_for(shaken, 200)
    assert not [line for line in shaken.lines() if line["level"] == "ERROR" or "trace" in line]


def test_a_restart_of_the_database_between_two_requests_is_not_noticed(
    shaken: Service, postgres: EmbeddedPostgres
) -> None:
    for number in range(3):
        assert shaken.report(f"s-{number}", "ann", NOW).status_code == 202
        postgres.stop()
        postgres.start()
        assert shaken.post(UPDATE, {"user_id": "ann"}).status_code == 200


def test_the_service_starts_without_its_database(
    postgres: EmbeddedPostgres, keys: Served, folder: Path
) -> None:
    postgres.stop()
    with running(folder, postgres.url(), keys.url) as service:
        assert service.client.get("/readyz").status_code == 503
        assert service.post(UPDATE, {"user_id": "ann"}).status_code == 503
        postgres.start()
        wait_for(service, 200)
        assert service.post(UPDATE, {"user_id": "ann"}).status_code == 200


def test_a_database_without_its_tables_is_not_ready(
    postgres: EmbeddedPostgres, keys: Served, folder: Path
) -> None:
    postgres.ensure_database("bare")
    with running(folder, postgres.url("bare"), keys.url) as service:
        ready = service.client.get("/readyz")
        assert ready.status_code == 503
        detail = "its tables are not those of this version: run the migrations"
        assert ready.json()["checks"]["database"] == {"ok": False, "detail": detail}


def test_without_settings_of_tokens_the_service_starts_and_is_not_ready(
    postgres: EmbeddedPostgres, keys: Served, folder: Path
) -> None:
    with running(folder, postgres.url(), keys.url, JWKS_URL="", JWT_ISS="") as service:
        ready = service.client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "unready")
        detail = "JWT_ISS, or both JWKS_URL and JWT_PUBLIC_KEY, are not set"
        assert ready.json()["checks"]["key_set"] == {"ok": False, "detail": detail}
        assert service.post(UPDATE, {"user_id": "ann"}).status_code == 401
        assert service.report("s-signed", "ann", NOW).status_code == 202


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://nowhere/x"}, "PREFECT_API_URL"),
        ({"API_RATE_LIMIT": "often"}, "API_RATE_LIMIT is no rate"),
        ({"JWT_PUBLIC_KEY": "no key"}, "JWT_PUBLIC_KEY is no RSA public key"),
        ({"API_TIMEOUT_SECS": "0"}, "API_TIMEOUT_SECS"),
    ],
)
def test_what_is_missing_or_wrong_in_the_settings_is_named_at_the_start(
    tmp_path: Path, environment: dict[str, str], named: str
) -> None:
    known = {"DATABASE_URL": "postgresql://nowhere/x", "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    given = environment if named.endswith("_URL") else known | environment
    done = subprocess.run(
        [sys.executable, "-m", "seedtest", "api", "--port", "1"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).resolve().parents[2])} | given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert named in done.stderr
    assert "Traceback" not in done.stderr
