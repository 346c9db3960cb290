"""Waking the θ run: a real Prefect server that comes late, hangs and goes; one run a generation."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.db.engine import create_engine
from seedtest.db.theta_requests import close_generation, open_generation
from seedtest.errors import StackError
from seedtest.prefect_client.api import PrefectApi
from seedtest.theta_trigger import DEPLOYMENT, Asking, Outcome, ThetaTrigger, wake_once
from tests.conftest import Address, listening
from tests.local.conftest import free_port
from tests.prefect_requests import ask
from tests.theta_sessions import report

pytestmark = pytest.mark.heavy

START_SECS = 120
# Longest that waking may take: a webhook waits for it.
NO_TIME_SECS = 0.05


def wait_until(holds: Callable[[], bool], secs: float = START_SECS) -> None:
    deadline = time.monotonic() + secs
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


class Server:
    """A Prefect server that can be started, held up and killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/api"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "PREFECT_HOME": str(self._folder),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        environment.pop("PREFECT_API_URL", None)
        command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(self._port)]
        with (self._folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self._folder / "server.log").read_text()[-3000:]
        try:
            return httpx.get(f"{self.url}/health", timeout=2).is_success
        except httpx.TransportError:
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def deploy(self) -> None:
        """Make the deployment; it is there once however often."""
        flow = ask("POST", f"{self.url}/flows/", {"name": DEPLOYMENT})
        ask("POST", f"{self.url}/deployments/", {"name": DEPLOYMENT, "flow_id": flow["id"]})

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs that were asked for and not deleted."""
        found: list[dict[str, Any]] = ask("POST", f"{self.url}/flow_runs/filter", {})
        return found

    def clear(self) -> None:
        for run in self.runs():
            ask("DELETE", f"{self.url}/flow_runs/{run['id']}")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The module's server; not started yet."""
    server = Server(tmp_path_factory.mktemp("prefect"))
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def prefect(machine: Server) -> Server:
    """The module's server with the deployment and no run."""
    if machine.process is None:
        machine.start()
    machine.deploy()
    machine.clear()
    return machine


class Ear:
    """What a trigger told."""

    def __init__(self) -> None:
        self.told: list[Outcome] = []

    def __call__(self, outcome: Outcome) -> None:
        self.told.append(outcome)

    def wait_for(self, outcome: Outcome) -> None:
        wait_until(lambda: outcome in self.told)


def test_a_server_that_is_away_is_asked_again_and_nobody_waits_for_it(
    machine: Server, engine: Engine
) -> None:
    machine.kill()
    ear = Ear()
    with listening("seedtest.theta_trigger") as log, ThetaTrigger(engine, machine.url, told=ear) as trigger:
        report(engine, "ann")
        begun = time.monotonic()
        trigger.wake()
        assert time.monotonic() - begun < NO_TIME_SECS
        ear.wait_for(Outcome.FAILED)
        machine.start()
        machine.deploy()
        ear.wait_for(Outcome.ASKED)
    assert len(machine.runs()) == 1
    # Ever more seldom: the server takes many seconds to start.
    assert 0 < len(log) < 15
    assert "No θ run could be asked for, trying again in 0.5 s" in log[0]
    assert "ann" not in "".join(log)


def test_a_server_that_hangs_holds_up_nobody(prefect: Server, engine: Engine) -> None:
    ear = Ear()
    with ThetaTrigger(engine, prefect.url, told=ear) as trigger:
        ear.wait_for(Outcome.IDLE)
        prefect.signal(signal.SIGSTOP)
        try:
            for number in range(20):
                report(engine, "ann", f"s-{number}")
                begun = time.monotonic()
                trigger.wake()
                assert time.monotonic() - begun < NO_TIME_SECS
                time.sleep(0.02)
        finally:
            prefect.signal(signal.SIGCONT)
        ear.wait_for(Outcome.ASKED)
    assert len(prefect.runs()) == 1


def test_stopping_does_not_wait_for_a_server_that_is_away(engine: Engine) -> None:
    report(engine, "ann")
    ear = Ear()
    trigger = ThetaTrigger(engine, f"http://127.0.0.1:{free_port()}/api", told=ear)
    trigger.start()
    ear.wait_for(Outcome.FAILED)
    begun = time.monotonic()
    trigger.stop()
    assert time.monotonic() - begun < 2


def test_what_an_earlier_process_left_is_asked_for_at_the_start(prefect: Server, engine: Engine) -> None:
    report(engine, "ann")
    ear = Ear()
    with ThetaTrigger(engine, prefect.url, told=ear):
        ear.wait_for(Outcome.ASKED)
    assert len(prefect.runs()) == 1


def test_many_wake_ups_of_many_processes_make_one_run_a_generation(
    prefect: Server, engine: Engine, database_url: str
) -> None:
    wide = create_engine(database_url, application_name="acceptors")
    ears = [Ear(), Ear()]
    triggers = [ThetaTrigger(wide, prefect.url, told=ear) for ear in ears]

    def accept(number: int) -> None:
        report(wide, f"user {number}")
        triggers[number % 2].wake()

    with triggers[0], triggers[1]:
        for first in (0, 100, 200):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(accept, range(first, first + 100)))
            for ear in ears:
                ear.wait_for(Outcome.ASKED)
                ear.told.clear()
            with wide.begin() as connection:
                close_generation(connection)
    wide.dispose()
    runs = prefect.runs()
    assert len({run["idempotency_key"] for run in runs}) == len(runs)
    # The last wake-ups of a hundred may find the generation closed that was open for the others.
    assert 3 <= len(runs) <= 4


def test_nothing_is_asked_for_when_another_drain_was_faster(prefect: Server, engine: Engine) -> None:
    report(engine, "ann")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE theta_request SET status = 'noop'"))
    assert wake_once(engine, prefect.url) is Outcome.IDLE
    assert prefect.runs() == []


def test_a_run_that_ended_before_it_began_is_replaced(prefect: Server, engine: Engine) -> None:
    report(engine, "ann")
    assert wake_once(engine, prefect.url) is Outcome.ASKED
    [dead] = prefect.runs()
    ask("POST", f"{prefect.url}/flow_runs/{dead['id']}/set_state", {"state": {"type": "CANCELLED"}})
    with engine.connect() as connection:
        before = open_generation(connection)
    assert wake_once(engine, prefect.url) is Outcome.ASKED
    with engine.connect() as connection:
        assert open_generation(connection).number == before.number + 1
    assert len({run["idempotency_key"] for run in prefect.runs()}) == 2


def test_a_run_that_died_with_its_worker_is_replaced(prefect: Server, engine: Engine) -> None:
    report(engine, "ann")
    with PrefectApi(prefect.url) as api:
        asking = Asking(engine, api, lost_secs=0.5)
        assert asking.ask() is Outcome.ASKED
        [taken_up] = prefect.runs()
        time.sleep(1)
        # Nobody has taken it up so far: another run would not begin either.
        assert Asking(engine, api, lost_secs=0.5).ask() is Outcome.ASKED
        assert len(prefect.runs()) == 1
        ask("POST", f"{prefect.url}/flow_runs/{taken_up['id']}/set_state", {"state": {"type": "PENDING"}})
        assert Asking(engine, api).ask() is Outcome.ASKED
        assert len(prefect.runs()) == 1
        assert Asking(engine, api, lost_secs=0.5).ask() is Outcome.ASKED
        assert len(prefect.runs()) == 2


def test_a_database_that_is_away_is_asked_again(
    prefect: Server, engine: Engine, database_url: str, server: Address
) -> None:
    report(engine, "ann")
    engine.dispose()
    name = sa.make_url(database_url).database
    elsewhere = create_engine(server("postgres"), application_name="pytest")
    ear = Ear()
    with elsewhere.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        with ThetaTrigger(engine, prefect.url, told=ear):
            ear.wait_for(Outcome.FAILED)
            assert Outcome.ASKED not in ear.told
            connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
            ear.wait_for(Outcome.ASKED)
    elsewhere.dispose()


def test_a_server_without_the_deployment_is_said_with_the_remedy(prefect: Server, engine: Engine) -> None:
    report(engine, "ann")
    [deployment] = ask("POST", f"{prefect.url}/deployments/filter", {})
    ask("DELETE", f"{prefect.url}/deployments/{deployment['id']}")
    with pytest.raises(StackError, match=r"has no deployment update-theta.*make deploy"):
        wake_once(engine, prefect.url)
    ear = Ear()
    with ThetaTrigger(engine, prefect.url, told=ear):
        ear.wait_for(Outcome.FAILED)
        prefect.deploy()
        ear.wait_for(Outcome.ASKED)
