"""The θ API: an update beside a bare endpoint that makes the same round trips, and webhooks a second."""

import asyncio
import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import httpx
import psutil
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.engine import Engine

from benchmarks.report import Report, at_least, at_most
from benchmarks.theta_api.bare import round_trips
from benchmarks.theta_api.cohort import ANSWERS_EACH, loaded
from benchmarks.theta_api.load import Measured, as_fast_as_it_goes, at_a_rate, post
from seedtest.api.auth.metrics import AuthMetrics
from seedtest.api.auth.signatures import signed_headers
from seedtest.api.auth.tokens import JwtConfig, JwtVerifier
from seedtest.db.engine import create_engine
from seedtest.local.development_keys import DEVELOPMENT_ISSUER, DevelopmentKey, development_key
from seedtest.local.ports import is_free
from seedtest.online import update_theta
from seedtest.settings import Settings

PREFIX = "/api/seedtest"
SECRET = "the-secret-of-the-benchmark"  # noqa: S105 (signs nothing but its own webhooks)
RATE = 100.0
ROUND = 1_000
ROUNDS = 3
WEBHOOKS = 6_000
ALONE = 200


@dataclass(frozen=True)
class Program:
    """A service under measurement."""

    port: int
    process: psutil.Process

    def cpu_secs(self) -> float:
        """Return the processor time that it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def main(*, learners: int = 2_000, items: int = 5_000, cores: int = 2) -> None:
    """Measure on so many cores, all processes together: service, database and load."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    report = Report()
    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder:
        home = Path(folder)
        report.doing(f"{learners:,} learners of {ANSWERS_EACH} answers, {items:,} items")
        with loaded(home / "home", learners, items) as (url, user_ids):
            engine = create_engine(url, application_name="benchmark")
            key = development_key(home / "home")
            environment = _environment(url, key)
            bare = [sys.executable, "-m", "benchmarks.theta_api.bare"]
            ours = [sys.executable, "-m", "seedtest", "api", "--log-level", "info", "--port"]
            with _running(home, bare, environment) as rival, _running(home, ours, environment) as service:
                updates(report, engine, service, rival, user_ids, key)
                webhooks(report, engine, service, user_ids)
            engine.dispose()
    report.close()


def updates(
    report: Report,
    engine: Engine,
    service: Program,
    rival: Program,
    user_ids: Sequence[str],
    key: DevelopmentKey,
) -> None:
    """Measure both endpoints in turn, and where the time of one update goes."""
    report.section(f"An update of {ANSWERS_EACH} answers, {RATE:g} requests/s, {ROUNDS} × {ROUND} each")
    token = key.token("benchmark", ["analysis:run"], dt.timedelta(hours=1), audience="seedtest-api")
    authorized = {"Authorization": f"Bearer {token}"}
    ours, bare, cpu_secs = Measured(), Measured(), 0.0
    for number in range(ROUNDS + 1):
        asked = [user_ids[(number * ROUND + i) % len(user_ids)] for i in range(ROUND)]
        bodies = [json.dumps({"user_id": user_id}).encode() for user_id in asked]
        plain = at_a_rate(rival.port, [post("/update", body, {}) for body in bodies], RATE)
        before = service.cpu_secs()
        path = f"{PREFIX}/analysis/irt/update-theta"
        full = at_a_rate(service.port, [post(path, body, authorized) for body in bodies], RATE)
        # The first round fills the caches, and is not counted.
        if number:
            cpu_secs += service.cpu_secs() - before
            for sums, one in ((bare, plain), (ours, full)):
                sums.seconds += one.seconds
                sums.statuses += one.statuses
    for name, measured in (("bare endpoint", bare), ("update-theta", ours)):
        assert set(measured.statuses) == {200}, measured.statuses
        p50, p99 = measured.quantile_ms(0.5), measured.quantile_ms(0.99)
        report.row(name, f"{p50:.1f} ms", f"p99 {p99:.1f} ms")
    report.row("processor time of the service", f"{1000 * cpu_secs / len(ours.seconds):.1f} ms an update")
    ratio = ours.quantile_ms(0.5) / bare.quantile_ms(0.5)
    report.verdict("median ÷ bare", ratio, at_most(2, "×"))
    report.verdict("p99 ÷ bare", ours.quantile_ms(0.99) / bare.quantile_ms(0.99), at_most(3, "×"))
    report.verdict("median", ours.quantile_ms(0.5), at_most(15, "ms"))
    report.verdict("p99", ours.quantile_ms(0.99), at_most(60, "ms"))
    _shares(report, engine, user_ids, key, token, service.port)


def _shares(
    report: Report, engine: Engine, user_ids: Sequence[str], key: DevelopmentKey, token: str, port: int
) -> None:
    """Time the parts of one update at a time, nothing else running."""
    users = cycle(user_ids[:ALONE])
    settings = Settings()

    def database() -> None:
        with engine.begin() as connection:
            round_trips(connection, next(users))

    def whole() -> None:
        with engine.begin() as connection:
            update_theta(connection, next(users), settings=settings, lookback_days=30)

    database_ms, whole_ms = _median_ms(database), _median_ms(whole)
    token_ms = asyncio.run(_token_ms(key, token))
    asked = cycle(user_ids[:ALONE])
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        answered_ms = _median_ms(
            lambda: client.post(
                f"{PREFIX}/analysis/irt/update-theta",
                json={"user_id": next(asked)},
                headers={"Authorization": f"Bearer {token}"},
            )
        )
    scoring_ms = whole_ms - database_ms
    rest_ms = answered_ms - whole_ms - token_ms
    report.row("one at a time", f"{answered_ms:.2f} ms", "client included")
    for name, part_ms in (
        ("database", database_ms),
        ("scoring", scoring_ms),
        ("token check", token_ms),
        ("framework, threads and client", rest_ms),
    ):
        report.row(f"  {name}", f"{part_ms:.2f} ms", f"{100 * part_ms / answered_ms:.0f} %")


async def _token_ms(key: DevelopmentKey, token: str) -> float:
    settings = _settings_of(key)
    verifier = JwtVerifier(JwtConfig.from_settings(settings), AuthMetrics(CollectorRegistry()))
    seconds = []
    for _ in range(ALONE):
        begun = time.perf_counter()
        await verifier.verify(token)
        seconds.append(time.perf_counter() - begun)
    return 1000 * statistics.median(seconds)


def webhooks(report: Report, engine: Engine, service: Program, user_ids: Sequence[str]) -> None:
    """Measure how many signed webhooks are committed and answered a second."""
    report.section(f"{WEBHOOKS:,} signed webhooks over 64 connections")
    requests = []
    for number in range(WEBHOOKS):
        completed = {
            "session_id": f"bench-{number}",
            "user_id": user_ids[number % len(user_ids)],
            "completed_at": "2026-01-01T00:00:00Z",
        }
        body = json.dumps(completed).encode()
        headers = signed_headers(SECRET, int(time.time()), body)
        requests.append(post(f"{PREFIX}/webhooks/session-completed", body, headers))
    before = service.cpu_secs()
    measured = as_fast_as_it_goes(service.port, requests)
    cpu_secs = service.cpu_secs() - before
    with engine.connect() as connection:
        kept = connection.scalar(
            sa.text("SELECT count(*) FROM theta_request WHERE session_id LIKE 'bench-%'")
        )
    assert measured.statuses == {202: WEBHOOKS}, measured.statuses
    assert kept == WEBHOOKS
    p50, p99 = measured.quantile_ms(0.5), measured.quantile_ms(0.99)
    report.verdict("accepted", WEBHOOKS / measured.took_secs, at_least(400, "a second"))
    report.row("answered within", f"{p50:.0f} ms", f"p99 {p99:.0f} ms")
    report.row("processor time of the service", f"{1000 * cpu_secs / WEBHOOKS:.2f} ms a webhook")


def _median_ms(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(2 * ALONE):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return 1000 * statistics.median(seconds[ALONE:])


def _settings_of(key: DevelopmentKey) -> Settings:
    return Settings(jwt_public_key=key.public_pem, jwt_iss=DEVELOPMENT_ISSUER, jwks_url=None)


def _environment(url: str, key: DevelopmentKey) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": url,
        # No server: what Prefect costs is not measured here.
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "JWT_PUBLIC_KEY": key.public_pem,
        "JWT_ISS": DEVELOPMENT_ISSUER,
        "WEBHOOK_SECRET": SECRET,
        "API_WEBHOOK_RATE_LIMIT": "1000000/minute",
    }


@contextmanager
def _running(folder: Path, command: list[str], environment: dict[str, str]) -> Iterator[Program]:
    """Run a service on a free port; its log goes to a file, as it would elsewhere."""
    port = next(port for port in range(18_000, 19_000) if is_free(port))
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen([*command, str(port)], env=environment, stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield Program(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(timeout=30)
