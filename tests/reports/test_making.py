"""Reports through an object store that fails: what is recorded is there, and a rerun makes the rest."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import httpx
import pytest
import sqlalchemy as sa
from botocore.config import Config
from sqlalchemy.engine import Engine

from reports.bucket import HASH, ReportBucket
from reports.making import Made, Order, make_reports
from reports.rendering import Format
from seedtest.errors import StorageError
from seedtest.report_keys import report_key
from seedtest.settings import Settings
from tests.amazon import REGION
from tests.conftest import ROOT
from tests.local.conftest import free_port
from tests.reports.weeks import MONDAY

LEARNERS = 4
TIMES = Config(
    connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
)
Rule = Callable[[str, int], int]
"""Says of a request, by its method and its number among those of that method, with which status to refuse it;
0: pass it on; −1: hang up on it; −2: keep it waiting."""
PASS, HANG_UP, WAIT = 0, -1, -2


class Between(ThreadingHTTPServer):
    """An object store in front of the real one, with rules of its own."""

    daemon_threads = True

    def __init__(self, behind: str, rule: Rule) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.behind, self.rule = behind, rule
        self.seen: dict[str, int] = {}
        self.client = httpx.Client(trust_env=False, timeout=30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Passing(BaseHTTPRequestHandler):
    server: Between
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number = self.server.seen[self.command] = self.server.seen.get(self.command, 0) + 1
        verdict = self.server.rule(self.command, number)
        if verdict == WAIT:
            time.sleep(2)
        if verdict in {WAIT, HANG_UP}:
            self.close_connection = True
            return
        if verdict:
            self.answer(verdict, {}, b"<Error><Code>AccessDenied</Code></Error>")
            return
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        passed = self.server.client.request(
            self.command, self.server.behind + self.path, headers=headers, content=body
        )
        self.answer(passed.status_code, dict(passed.headers), passed.content)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"transfer-encoding", "connection", "content-length", "date", "server"}:
                self.send_header(name, value)
        length = headers.get("content-length", str(len(body))) if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self.handle_any()

    def do_PUT(self) -> None:
        self.handle_any()

    def do_HEAD(self) -> None:
        self.handle_any()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def between(behind: str, rule: Rule) -> Iterator[Between]:
    with Between(behind, rule) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
        server.client.close()


@contextmanager
def bucket_at(url: str, name: str) -> Iterator[ReportBucket]:
    client = boto3.client("s3", endpoint_url=url, region_name=REGION, config=TIMES)
    yield ReportBucket(client, name, REGION)
    client.close()


@pytest.fixture
def users(prepared: Engine) -> Iterator[tuple[str, ...]]:
    """A few learners with KPIs of the week; nothing is stored of them before and after."""
    with prepared.connect() as connection:
        query = "SELECT user_id FROM weekly_kpi WHERE week_start = :week ORDER BY user_id LIMIT :n"
        found = connection.execute(sa.text(query), {"week": MONDAY, "n": LEARNERS})
        yield tuple(found.scalars())
    with prepared.begin() as connection:
        connection.execute(sa.text("DELETE FROM report_artifacts"))


def recorded(engine: Engine) -> set[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT user_id, format, url FROM report_artifacts"))
        return {(row.user_id, row.format) for row in rows}


def lying(bucket: ReportBucket) -> set[str]:
    return {one["Key"] for one in bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", [])}


def make(engine: Engine, bucket: ReportBucket, users: tuple[str, ...], **more: Any) -> Made:
    return make_reports(engine, bucket, Order(MONDAY, users, (Format.HTML,), **more), Settings())


def require_every_row_has_its_object(engine: Engine, bucket: ReportBucket) -> None:
    keys = {report_key(user_id, MONDAY, format) for user_id, format in recorded(engine)}
    assert keys <= lying(bucket)


FAULTS: dict[str, tuple[Rule, str]] = {
    "refuses": (lambda method, _: 403, r"refuses .* \(403\)"),
    "is out of order": (lambda method, _: 503, r"refuses .* \(503\)"),
    "hangs up half-way": (
        lambda method, n: HANG_UP if method == "PUT" and n > 2 else PASS,
        "cannot be used: Connection",
    ),
    "refuses half-way": (lambda method, n: 403 if method == "PUT" and n > 2 else PASS, r"refuses .* \(403\)"),
    "is too slow": (
        lambda method, n: WAIT if method == "PUT" and n > 2 else PASS,
        "cannot be used: ReadTimeout",
    ),
}


@pytest.mark.heavy
@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_fails_leaves_no_row_without_its_object_and_a_rerun_makes_the_rest(
    fault: str, prepared: Engine, amazon: str, bucket: str, users: tuple[str, ...]
) -> None:
    rule, said = FAULTS[fault]
    with (
        between(amazon, rule) as faulty,
        bucket_at(faulty.url, bucket) as broken,
        bucket_at(amazon, bucket) as sound,
    ):
        with pytest.raises(StorageError, match=said):
            make(prepared, broken, users)
        before = recorded(prepared)
        assert len(before) == (2 if "half-way" in fault or "slow" in fault else 0)
        require_every_row_has_its_object(prepared, sound)
        again = make(prepared, sound, users)
        assert {(made.user_id, "html") for made in again.reports} == {(u, "html") for u in users} - before
        assert recorded(prepared) == {(user_id, "html") for user_id in users}
        assert lying(sound) == {report_key(user_id, MONDAY, "html") for user_id in users}


def test_a_store_that_is_not_there_is_named_and_nothing_is_recorded(
    prepared: Engine, amazon_keys: None, users: tuple[str, ...]
) -> None:
    with (
        bucket_at(f"http://127.0.0.1:{free_port()}", "nowhere") as absent,
        pytest.raises(StorageError, match="bucket nowhere cannot be used: EndpointConnectionError"),
    ):
        make(prepared, absent, users)
    assert recorded(prepared) == set()


def test_what_lies_there_already_is_recorded_and_not_sent_again(
    prepared: Engine, amazon: str, bucket: str, users: tuple[str, ...]
) -> None:
    with bucket_at(amazon, bucket) as store:
        make(prepared, store, users)
        with prepared.begin() as connection:
            connection.execute(sa.text("DELETE FROM report_artifacts"))
        again = make(prepared, store, users)
        assert (len(again.reports), again.n_already_there) == (LEARNERS, LEARNERS)
        assert make(prepared, store, users).n_unchanged == LEARNERS
        assert len(make(prepared, store, users, force=True).reports) == LEARNERS


def test_an_object_that_changes_meanwhile_is_looked_at_again(amazon: str, bucket: str) -> None:
    def first_put_comes_too_late(method: str, n: int) -> int:
        return 412 if method == "PUT" and n == 1 else PASS

    with (
        between(amazon, first_put_comes_too_late) as contended,
        bucket_at(contended.url, bucket) as store,
    ):
        assert store.put("reports/a/1/report.html", b"new", "text/html; charset=utf-8", "hash")
        head = store.client.head_object(Bucket=bucket, Key="reports/a/1/report.html")
        assert head["Metadata"] == {HASH: "hash"}
        assert contended.seen["PUT"] == 2


@pytest.mark.heavy
def test_a_process_killed_in_between_leaves_no_row_without_its_object(
    prepared: Engine, amazon: str, bucket: str, users: tuple[str, ...]
) -> None:
    program = (
        "import sys\n"
        "from seedtest.db.engine import create_engine\n"
        "from tests.reports.test_making import bucket_at, make\n"
        "with bucket_at(sys.argv[2], sys.argv[3]) as store:\n"
        "    make(create_engine(sys.argv[1]), store, tuple(sys.argv[4:]))\n"
    )

    def slowly(method: str, n: int) -> int:
        time.sleep(0.3)
        return PASS

    with between(amazon, slowly) as slow, bucket_at(amazon, bucket) as store:
        url = prepared.url.render_as_string(hide_password=False)
        arguments = [sys.executable, "-c", program, url, slow.url, bucket, *users]
        process = subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        deadline = time.monotonic() + 120
        while not recorded(prepared):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert 0 < len(recorded(prepared)) < LEARNERS
        require_every_row_has_its_object(prepared, store)
        make(prepared, store, users)
        assert recorded(prepared) == {(user_id, "html") for user_id in users}
