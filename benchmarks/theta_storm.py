"""A storm of webhooks while everything fails in turn: `python -m benchmarks.theta_storm`.

Ten thousand sessions are reported to the θ API of a running embedded stack, while its θ worker is killed
twice, PostgreSQL restarted once and the Prefect server stopped for 30 s. In the end every accepted session
has one request that is settled, and each done one points at a θ.
"""

import datetime as dt
import json
import os
import queue
import secrets
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx
import sqlalchemy as sa
import typer
from pydantic import SecretStr
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from benchmarks.report import Report, at_most
from benchmarks.timing import machine
from seedtest.api.auth.signatures import signed_headers
from seedtest.db.engine import create_engine
from seedtest.local import stack, stopping
from seedtest.local.addresses import database_url
from seedtest.local.folder import StackFolder
from seedtest.local.state import StackState
from seedtest.local.supervision.control import Supervisor
from seedtest.local.supervision.programs import POSTGRES, SERVER, THETA_WORKER
from seedtest.session_hook import WEBHOOK_PATH
from seedtest.settings import Settings, load_settings

MOST_RUNS = 100
SENDERS = 16
N_ITEMS = 40
SESSIONS_A_LEARNER = 4
PATIENCE_SECS = 600.0
RETRY_SECS = 0.25

ITEMS = """
INSERT INTO mirt_item_params (item_id, model, params, version)
SELECT 'storm-Q' || i, '2PL', jsonb_build_object('a', 1.2, 'b', (i % 9 - 4) / 2.0, 'c', NULL), 'v1'
FROM generate_series(1, :n) AS i
"""
FIT = """
INSERT INTO mirt_fit_meta (run_id, model_spec, metrics) VALUES ('storm', CAST(:spec AS jsonb), '{}')
"""
SESSIONS = """
INSERT INTO exam_results (session_id, user_id, result_json, created_at, updated_at)
SELECT 'storm-' || i, 'learner-' || i % :learners, jsonb_build_object('questions', (
    SELECT jsonb_agg(jsonb_build_object('question_id', 'storm-Q' || q, 'time_spent_sec', 10,
        'is_correct', hashtext(i || '/' || q) % 2 = 0))
    FROM generate_series(1, :n_items) AS q)), now() - interval '1 hour', now() - interval '1 hour'
FROM generate_series(0, :n - 1) AS i
"""
COUNTS = """
SELECT count(*) AS requests,
    count(*) FILTER (WHERE status = 'pending') AS pending,
    count(*) FILTER (WHERE status = 'done') AS done,
    count(*) FILTER (WHERE status = 'noop') AS noop,
    count(*) FILTER (WHERE status = 'parked') AS parked,
    count(*) FILTER (WHERE status = 'done' AND NOT EXISTS (
        SELECT FROM mirt_ability AS a WHERE a.user_id = r.user_id AND a.as_of = r.ability_as_of
            AND a.source = 'online')) AS without_theta
FROM theta_request AS r WHERE session_id LIKE 'storm-%'
"""


@dataclass(frozen=True)
class Plan:
    """How many sessions are reported, and for how long the Prefect server is away."""

    n_sessions: int = 10_000
    server_away_secs: float = 30.0

    @property
    def n_learners(self) -> int:
        """Learners whose sessions they are."""
        return max(1, self.n_sessions // SESSIONS_A_LEARNER)


@dataclass(frozen=True)
class Aftermath:
    """What the tables and Prefect hold when all is quiet."""

    accepted: int
    requests: int
    pending: int
    done: int
    noop: int
    parked: int
    without_theta: int
    runs: int
    send_secs: float
    settle_secs: float

    @property
    def is_sound(self) -> bool:
        """Whether every accepted session is settled once, each done one with its θ, in few runs."""
        settled = self.done + self.noop + self.parked
        lost = self.without_theta + self.pending
        return self.accepted == self.requests == settled and lost == 0 and self.runs < MOST_RUNS


@dataclass
class Storm:
    """One drill on a running stack."""

    settings: Settings
    state: StackState
    engine: Engine
    secret: str
    plan: Plan
    say: Callable[[str], None]
    _accepted: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Add the learners, their sessions and calibrated items."""
        spec = {"model": "2PL", "version": "v1", "theta_mean": 0.0, "theta_sd": 1.0}
        sizes = {"n": self.plan.n_sessions, "learners": self.plan.n_learners, "n_items": N_ITEMS}
        with self.engine.begin() as connection:
            connection.execute(sa.text(ITEMS), {"n": N_ITEMS})
            connection.execute(sa.text(FIT), {"spec": json.dumps(spec)})
            connection.execute(sa.text(SESSIONS), sizes)

    def rage(self) -> Aftermath:
        """Report all sessions while the parts fail, and wait until nothing is left to do."""
        begun = time.monotonic()
        troubles = threading.Thread(target=self._make_trouble)
        troubles.start()
        self._send_all()
        send_secs = time.monotonic() - begun
        troubles.join()
        self._wait_until_settled()
        settle_secs = time.monotonic() - begun - send_secs
        return Aftermath(
            len(self._accepted),
            **self._counts(),
            runs=self._runs(),
            send_secs=send_secs,
            settle_secs=settle_secs,
        )

    def _send_all(self) -> None:
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(self.plan.n_sessions):
            waiting.put(number)
        senders = [threading.Thread(target=self._send_some, args=(waiting,)) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()

    def _send_some(self, waiting: "queue.SimpleQueue[int]") -> None:
        """Report sessions, each again until it is accepted, as a platform does."""
        with httpx.Client(base_url=self.state.servers.theta_api_url, timeout=30, trust_env=False) as client:
            while True:
                try:
                    number = waiting.get_nowait()
                except queue.Empty:
                    return
                while not self._is_accepted(client, number):
                    time.sleep(RETRY_SECS)
                with self._lock:
                    self._accepted.add(f"storm-{number}")

    def _is_accepted(self, client: httpx.Client, number: int) -> bool:
        report = {
            "session_id": f"storm-{number}",
            "user_id": f"learner-{number % self.plan.n_learners}",
            "completed_at": (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat(),
        }
        body = json.dumps(report).encode()
        headers = {"Content-Type": "application/json", **signed_headers(self.secret, int(time.time()), body)}
        try:
            return (
                client.post(WEBHOOK_PATH, content=body, headers=headers).status_code == httpx.codes.ACCEPTED
            )
        except httpx.TransportError:
            return False

    def _make_trouble(self) -> None:
        supervisor = Supervisor(StackFolder(self.settings.home))
        self._await_share(0.2)
        self._kill_worker(supervisor)
        self._await_share(0.4)
        self.say("PostgreSQL is restarted")
        supervisor.stop(POSTGRES)
        supervisor.start(POSTGRES)
        self._await_share(0.5)
        self.say(f"The Prefect server is stopped for {self.plan.server_away_secs:g} s")
        supervisor.stop(SERVER)
        time.sleep(self.plan.server_away_secs)
        supervisor.start(SERVER)
        self._await_share(0.8)
        self._kill_worker(supervisor)

    def _kill_worker(self, supervisor: Supervisor) -> None:
        self.say("The θ worker is killed")
        os.kill(supervisor.process(THETA_WORKER).pid, signal.SIGKILL)

    def _await_share(self, share: float) -> None:
        while len(self._accepted) < share * self.plan.n_sessions:
            time.sleep(0.02)

    def _wait_until_settled(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECS
        while self._pending() and time.monotonic() < deadline:
            time.sleep(0.5)

    def _pending(self) -> int:
        try:
            return self._counts()["pending"]
        except DBAPIError:
            return self.plan.n_sessions

    def _counts(self) -> dict[str, int]:
        with self.engine.connect() as connection:
            return dict(connection.execute(sa.text(COUNTS)).mappings().one())

    def _runs(self) -> int:
        """Return how many runs of the θ flows there have been."""
        wanted = {
            "flows": {"name": {"any_": ["update-theta", "theta-sweep"]}},
            "flow_runs": {"start_time": {"is_null_": False}},
        }
        answer = httpx.post(f"{self.state.prefect_api_url}/flow_runs/count", json=wanted, trust_env=False)
        answer.raise_for_status()
        return int(answer.json())


def storm_on_own_stack(home: Path, plan: Plan, *, say: Callable[[str], None], **given: object) -> Aftermath:
    """Start a stack in a folder, let the storm rage over it, and remove it."""
    secret = secrets.token_hex(16)
    # The stack's processes inherit it from here.
    os.environ["WEBHOOK_SECRET"] = secret
    settings = load_settings(seedtest_home=home, webhook_secret=SecretStr(secret), **given)
    try:
        state = stack.up(settings, say=say)
        engine = create_engine(database_url(settings), application_name="storm")
        storm = Storm(settings, state, engine, secret, plan, say)
        storm.prepare()
        return storm.rage()
    finally:
        stopping.clean(settings, say=say)


def tell(report: Report, plan: Plan, found: Aftermath) -> None:
    """Print what the storm left."""
    report.section(f"{plan.n_sessions:,} webhooks")
    report.row(
        "accepted",
        f"{found.accepted:,}",
        f"{found.accepted / found.send_secs:,.0f} a second, failures included",
    )
    report.row(
        "requests",
        f"{found.requests:,}",
        f"{found.done:,} done, {found.noop:,} noop, {found.parked:,} parked",
    )
    report.row("settled after the last webhook", f"{found.settle_secs:.1f} s")
    for name, count in (
        ("sessions lost", found.accepted - found.requests),
        ("sessions that still wait", found.pending),
        ("done without a θ", found.without_theta),
    ):
        report.verdict(name, count, at_most(0, "sessions"))
    report.verdict("flow runs", found.runs, at_most(MOST_RUNS - 1, "runs"))
    report.close()


def main(
    n_sessions: Annotated[int, typer.Option("--sessions", min=1, help="Sessions to report")] = 10_000,
    server_away_secs: Annotated[float, typer.Option(min=0, help="Seconds without a Prefect server")] = 30.0,
) -> None:
    """Report sessions to the θ API while its neighbours fail, and count what became of them."""
    print(machine())
    plan = Plan(n_sessions, server_away_secs)
    with TemporaryDirectory(prefix="storm-") as folder:
        Path(folder).chmod(0o755)
        found = storm_on_own_stack(Path(folder) / "home", plan, say=print)
    tell(Report(), plan, found)
    if not found.is_sound:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
