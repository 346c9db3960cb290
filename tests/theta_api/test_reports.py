"""Links to reports: signed when asked for, good for one object, told to who may read the learner."""

import datetime as dt
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.report_keys import report_key
from tests.api.auth.key_servers import Served
from tests.irt_service.services import free_port
from tests.theta_api.services import PREFIX, Service, error_of, running

KEY_ID, SECRET_KEY = "an-access-key", "a-secret-access-key"
WEEK = dt.date(2026, 10, 26)
USERS = ("test-user-123", "찬호/a b+c%2F?#", "..", "<script>")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An object store that checks signatures, with a report of every learner."""
    root, port = tmp_path_factory.mktemp("store"), free_port()
    for user_id in USERS:
        path = root / "seedtest-reports" / report_key(user_id, WEEK, "html")
        path.parent.mkdir(parents=True)
        path.write_text(f"report of {user_id}", encoding="utf-8")
    rclone = Path(sys.executable).parent / "rclone"
    process = subprocess.Popen(
        [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY_ID},{SECRET_KEY}", root],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(url)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_up(url: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("The object store is not up")


@pytest.fixture(scope="module")
def signing(learners: Engine, learners_url: str, keys: Served, folder: Path, store: str) -> Iterator[Service]:
    insert = (
        "INSERT INTO report_artifacts (user_id, week_start, format, url)"
        " VALUES (:user_id, :week_start, 'html', 'https://example.org')"
    )
    with learners.begin() as connection:
        rows = [{"user_id": user_id, "week_start": WEEK} for user_id in USERS]
        connection.execute(sa.text(insert), rows)
    aws = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "S3_ENDPOINT_URL": store}
    with running(folder, learners_url, keys.url, "--log-level", "debug", **aws) as found:
        yield found


def address(user_id: str, report_format: str = "html") -> str:
    """The address of a report; dots are spelled out, or a client would take them for a parent folder."""
    segment = quote(user_id, safe="").replace(".", "%2E")
    return f"{PREFIX}/reports/{segment}/{WEEK}.{report_format}"


@pytest.mark.parametrize("user_id", USERS)
def test_the_link_leads_to_the_report(signing: Service, user_id: str) -> None:
    response = signing.get(address(user_id))
    assert response.status_code == 302
    assert response.headers["cache-control"] == "no-store"
    found = httpx.get(response.headers["location"], trust_env=False)
    assert (found.status_code, found.text) == (200, f"report of {user_id}")


def test_the_link_is_good_for_minutes_and_for_one_object(signing: Service, store: str) -> None:
    link = signing.get(address("test-user-123")).headers["location"]
    assert link.startswith(f"{store}/seedtest-reports/reports/test-user-123/{WEEK}/report.html?")
    assert parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["300"]
    other = link.replace("test-user-123", quote(quote("<script>")))
    assert httpx.get(other, trust_env=False).status_code == 403
    assert SECRET_KEY not in link


def test_every_link_is_signed_anew(signing: Service) -> None:
    first = signing.get(address("test-user-123")).headers["location"]
    time.sleep(1.1)
    assert signing.get(address("test-user-123")).headers["location"] != first


@pytest.mark.parametrize("path", [address("test-user-123", "pdf"), address("nobody")])
def test_a_report_that_was_not_stored_is_404(signing: Service, path: str) -> None:
    response = signing.get(path)
    assert response.status_code == 404
    assert error_of(response) == "There is no report of this learner, week and format."


def test_no_link_is_logged(signing: Service) -> None:
    signing.get(address("test-user-123"))
    log = signing.log.read_text()
    for word in ("X-Amz", "Signature", SECRET_KEY, KEY_ID, "test-user-123", "seedtest-reports"):
        assert word not in log


def test_without_credentials_it_is_503(
    signing: Service, learners_url: str, keys: Served, folder: Path
) -> None:
    with running(folder, learners_url, keys.url, AWS_EC2_METADATA_DISABLED="true") as service:
        response = service.get(address("test-user-123"))
    assert response.status_code == 503
    assert "AWS_ACCESS_KEY_ID" in error_of(response)
