"""The embedded stack: real processes, killed, repaired, stopped and started again."""

import datetime as dt
import io
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from rich.console import Console

from seedtest.errors import StackError, StackNotRunningError
from seedtest.local import stack
from seedtest.local.addresses import database_url, prefect_api_url
from seedtest.local.development_keys import development_key
from seedtest.local.pools import POOL, WORKERS
from seedtest.local.ports import PREFECT, chosen_port
from seedtest.local.postgres import EmbeddedPostgres
from seedtest.local.status import render, status
from seedtest.local.supervision.processes import is_alive, marked_processes
from seedtest.local.supervision.programs import (
    API,
    OBJECT_STORE,
    POSTGRES,
    REPORTS,
    SERVER,
    THETA_WORKER,
    WORKER,
)
from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.models import State, StateType
from seedtest.settings import Settings
from tests.children import child, lines
from tests.local.conftest import Stack, free_port, make_stack
from tests.prefect_requests import ask

PATIENCE_SECS = 120
STOPPED = "The stack was stopped while this run was going."
PROGRAMS = (POSTGRES, SERVER, OBJECT_STORE, REPORTS, API, WORKER, THETA_WORKER)
OF_ITS_OWN = {OBJECT_STORE, REPORTS, API, WORKER, THETA_WORKER}


def wait_until(condition: Callable[[], bool], patience_secs: float = 30) -> None:
    deadline = time.monotonic() + patience_secs
    while not condition():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(0.1)


def pids(made: Stack) -> dict[str, int]:
    return {name: made.pid(name) for name in PROGRAMS}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def execute(made: Stack, statement: str) -> object:
    engine = sa.create_engine(database_url(made.settings))
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        value = result.scalar() if result.returns_rows else None
    engine.dispose()
    return value


@pytest.fixture
def with_rows(running: Stack) -> Stack:
    """The shared stack with a session in its database."""
    execute(running, "INSERT INTO session (id) VALUES ('kept') ON CONFLICT DO NOTHING")
    return running


def rows_kept(made: Stack) -> bool:
    return execute(made, "SELECT count(*) FROM session WHERE id = 'kept'") == 1


@contextmanager
def going_nap(made: Stack) -> Iterator[Callable[[], State]]:
    """Have a flow run going; give what tells its state."""
    with PrefectApi(prefect_api_url(made.settings)) as api:
        run = api.create_flow_run(api.deployments(["nap"])[0], {"seconds": 300}, key=str(uuid.uuid4()))

        def state() -> State:
            found = api.flow_run(run.id).state
            assert found is not None
            return found

        wait_until(lambda: state().type is StateType.RUNNING)
        yield state


def shown_status(settings: Settings) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(status(settings)))
    return console.export_text()


@pytest.fixture
def borrowing(running: Stack, folder: Path) -> Iterator[Stack]:
    """A stack with PostgreSQL and a worker of its own that uses the shared stack's Prefect server."""
    made = make_stack(folder, project=running.project, prefect_api_url=prefect_api_url(running.settings))
    yield made
    made.clean()


def test_up_starts_every_part_migrates_and_registers_the_deployments(running: Stack) -> None:
    assert {process.name: process.runs for process in running.supervisor.processes()} == dict.fromkeys(
        PROGRAMS, True
    )
    assert execute(running, "SELECT count(*) FROM weekly_kpi") == 0
    with PrefectApi(prefect_api_url(running.settings)) as api:
        registered = {(deployment.name, deployment.work_pool_name) for deployment in api.deployments()}
        assert registered >= {("nap", POOL), ("parent", POOL), ("failing", POOL)}
        assert all(any(worker.online for worker in api.workers(pool)) for pool in WORKERS.values())


def test_starting_twice_says_so_and_leaves_the_processes_alone(running: Stack) -> None:
    before = pids(running)
    running.up()
    assert running.said == [f"The stack in {running.settings.home} runs already: looking at each part"]
    assert pids(running) == before


def test_the_stacks_own_addresses_in_the_environment_are_not_taken_for_external(running: Stack) -> None:
    before = pids(running)
    exported = Settings(
        seedtest_home=Path(os.path.relpath(running.settings.home)),
        database_url=SecretStr(database_url(running.settings)),
        prefect_api_url=prefect_api_url(running.settings),
    )
    stack.up(exported, project=running.project)
    assert pids(running) == before


def test_two_starts_at_the_same_instant_take_turns(running: Stack) -> None:
    before = pids(running)
    threads = [
        threading.Thread(target=stack.up, args=[running.settings], kwargs={"project": running.project})
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pids(running) == before


@pytest.mark.heavy
def test_killed_processes_come_back_by_themselves_with_their_rows(with_rows: Stack) -> None:
    before = pids(with_rows)
    for pid in before.values():
        kill(pid)
    wait_until(lambda: all(with_rows.pid(name) not in {0, before[name]} for name in PROGRAMS))
    with_rows.up()
    assert rows_kept(with_rows)


def test_a_stopped_part_is_started_by_the_next_up(with_rows: Stack) -> None:
    with_rows.supervisor.stop(POSTGRES)
    with_rows.supervisor.stop(WORKER)
    with_rows.up()
    assert all(process.runs for process in with_rows.supervisor.processes())
    assert rows_kept(with_rows)


@pytest.mark.heavy
def test_down_gives_runs_a_time_then_tells_the_server_that_they_were_stopped(with_rows: Stack) -> None:
    with going_nap(with_rows) as nap:
        with_rows.down(grace_secs=1)
        assert "Waiting up to 1 s for 1 flow runs to end; Ctrl-C stops them now" in with_rows.said
        assert list(marked_processes(with_rows.settings.home)) == []
        with_rows.down()
        assert with_rows.said == [f"The stack in {with_rows.settings.home} was not running"]
        shown = shown_status(with_rows.settings)
        assert "The stack is down" in shown
        assert "No database is running" in shown
        with pytest.raises(StackNotRunningError, match="seedtest up"):
            database_url(with_rows.settings)
        with_rows.up()
        assert (nap().type, nap().message) == (StateType.CRASHED, STOPPED)
    assert rows_kept(with_rows)


@pytest.mark.heavy
def test_up_repairs_a_killed_supervisord_a_spoilt_state_file_and_a_stale_pid_file(with_rows: Stack) -> None:
    with going_nap(with_rows) as nap:
        left = list(marked_processes(with_rows.settings.home))
        kill(with_rows.supervisor.pid())
        with_rows.folder.state_file.write_text("{")
        with_rows.folder.supervisor_pid_file.write_text(str(os.getpid()))
        with pytest.raises(StackError, match="`seedtest up` writes it anew"):
            database_url(with_rows.settings)
        with_rows.up()
        assert any(line.startswith("Stopping processes that a killed stack") for line in with_rows.said)
        assert [process for process in left if is_alive(process)] == []
        assert nap().type.is_final
    assert rows_kept(with_rows)


def test_status_shows_processes_addresses_versions_rows_and_runs(with_rows: Stack) -> None:
    state = with_rows.up()
    found = status(with_rows.settings)
    assert found.running
    assert found.data_bytes > 10_000_000
    assert {rows.table: rows.n_rows for rows in found.database.tables}["session"] == 1
    assert (found.database.version, found.prefect.version) == (state.postgres_version, version("prefect"))
    shown = shown_status(with_rows.settings)
    assert "The stack runs." in shown
    assert state.prefect_api_url in shown
    for service in found.services:
        assert f"{service.address} (ready)" in shown
    assert str(with_rows.pid(WORKER)) in shown


def test_the_api_takes_development_tokens_and_no_others(running: Stack) -> None:
    state = running.up()
    url = f"{state.servers.theta_api_url}/api/seedtest/analysis/irt/theta"
    token = development_key(running.settings.home).token(
        "nobody", ["reports:view"], dt.timedelta(minutes=1), audience=running.settings.jwt_aud
    )
    for sent, expected in ((token, HTTPStatus.OK), (f"{token}x", HTTPStatus.UNAUTHORIZED)):
        headers = {"Authorization": f"Bearer {sent}"}
        answer = httpx.get(url, params={"user_id": "nobody"}, headers=headers, timeout=30)
        assert answer.status_code == expected


def test_a_changed_flow_is_registered_anew_and_an_unchanged_one_is_not(running: Stack) -> None:
    flows = running.project / "flows" / "naps.py"
    flows.write_text(flows.read_text().replace("seconds: float = 1.0, mode", "seconds: float = 2.0, mode"))
    running.up()
    assert running.said[-1] == "Registering 3 deployments"
    with PrefectApi(prefect_api_url(running.settings)) as api:
        schema = api.deployments(["nap"])[0].parameter_openapi_schema
    assert schema is not None
    assert schema.properties["seconds"]["default"] == 2.0


def test_a_flow_that_cannot_be_registered_leaves_the_stack_running(running: Stack) -> None:
    flows = running.project / "flows" / "naps.py"
    before = flows.read_text()
    flows.write_text(before.replace("def nap(", "def renamed("))
    try:
        with pytest.raises(
            StackError, match=r"(?s)could not be registered.*stack itself runs.*'nap' not found"
        ):
            running.up()
    finally:
        flows.write_text(before)
    assert all(process.runs for process in running.supervisor.processes())


def test_a_busy_port_is_refused_naming_its_holder(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        made = make_stack(folder, port=holder.getsockname()[1])
        with pytest.raises(StackError, match=rf"in use by .*pid {os.getpid()}.*SEEDTEST_PREFECT_PORT"):
            made.up()
    assert list(marked_processes(made.settings.home)) == []
    made.clean()


def test_without_a_port_asked_for_two_starts_choose_two_free_ones() -> None:
    with chosen_port(PREFECT, None, None) as first, chosen_port(PREFECT, None, first) as second:
        assert PREFECT.first_port <= first < second
    with chosen_port(PREFECT, None, second) as third:
        assert third == second


def test_a_home_that_cannot_be_written_to_is_named(folder: Path) -> None:
    (folder / "home").write_text("in the way")
    with pytest.raises(StackError, match="a file of that name is in the way"):
        make_stack(folder).up()


def test_an_external_server_that_does_not_answer_is_named_before_anything_starts(folder: Path) -> None:
    made = make_stack(folder, prefect_api_url=f"http://127.0.0.1:{free_port()}/api")
    with pytest.raises(StackError, match=r"does not answer.*PREFECT_API_URL"):
        made.up()
    assert not made.folder.postgres.exists()
    made.clean()


@pytest.mark.heavy
def test_with_an_external_database_and_prefect_server_neither_is_started(
    running: Stack, folder: Path
) -> None:
    made = make_stack(
        folder,
        project=running.project,
        database_url=database_url(running.settings),
        prefect_api_url=prefect_api_url(running.settings),
    )
    made.up()
    assert {process.name for process in made.supervisor.processes()} == OF_ITS_OWN
    assert made.settings.database_url is not None
    assert made.settings.database_url.get_secret_value() not in made.folder.state_file.read_text()
    assert status(made.settings).running
    made.clean()
    assert not made.folder.home.exists()


@pytest.mark.heavy
def test_a_deployment_in_another_pool_of_an_external_server_is_not_overwritten(borrowing: Stack) -> None:
    api_url = str(borrowing.settings.prefect_api_url)
    with PrefectApi(api_url) as api:
        api.create_work_pool("production", "process")
        nap = f"{api_url}/deployments/{api.deployments(['nap'])[0].id}"
        ask("PATCH", nap, {"work_pool_name": "production"})
        with pytest.raises(StackError, match=r"nap in pool production.*not overwritten"):
            borrowing.up()
        assert api.deployments(["nap"])[0].work_pool_name == "production"
        ask("PATCH", nap, {"work_pool_name": POOL})


@pytest.mark.heavy
def test_a_postgres_that_keeps_dying_is_given_up_with_the_end_of_its_log(borrowing: Stack) -> None:
    with EmbeddedPostgres(borrowing.settings.home) as server:
        configuration = server.folder.postgres / "postgresql.conf"
    with configuration.open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(StackError, match=r"(?s)postgres keeps ending.*No data are lost.*no_such_setting"):
        borrowing.up()
    assert list(marked_processes(borrowing.settings.home)) == []


@pytest.mark.heavy
def test_in_the_foreground_the_stack_runs_until_sigterm(borrowing: Stack) -> None:
    code = (
        "import pathlib; from seedtest.local import stack; from seedtest.settings import Settings;"
        "stack.attached(Settings(), say=lambda line: print(line, flush=True),"
        f"project=pathlib.Path({str(borrowing.project)!r}))"
    )
    environment = {
        **os.environ,
        "SEEDTEST_HOME": str(borrowing.settings.home),
        "PREFECT_API_URL": borrowing.settings.prefect_api_url or "",
    }
    command = [sys.executable, "-c", code]
    said = []
    with child(command, env=environment) as foreground:
        for line in lines(foreground, PATIENCE_SECS):
            said.append(line)
            if line == "Ctrl-C stops the stack\n":
                kill(borrowing.pid(POSTGRES))
            if line.startswith("postgres had ended and was started again"):
                foreground.terminate()
        assert foreground.wait(PATIENCE_SECS) == 0, "".join(said)
    assert list(marked_processes(borrowing.settings.home)) == []
