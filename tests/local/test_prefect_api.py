"""Running deployments through Prefect's REST API: a real server, real flows."""

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from seedtest.errors import StackError
from seedtest.local.addresses import prefect_api_url
from seedtest.local.runs import run_deployment
from seedtest.local.supervision.programs import SERVER
from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.models import UNFINISHED_STATES, Deployment, ParameterSchema, StateType
from seedtest.prefect_client.parameters import read_parameters
from tests.children import child, lines
from tests.local.conftest import Stack, free_port
from tests.prefect_requests import ask

PATIENCE_SECS = 120


@pytest.fixture
def url(running: Stack) -> str:
    return prefect_api_url(running.settings)


@pytest.fixture
def api(url: str) -> Iterator[PrefectApi]:
    with PrefectApi(url) as api:
        yield api


def test_a_run_is_followed_with_its_subflow_to_its_end(url: str) -> None:
    said: list[str] = []
    final = run_deployment(url, "parent", {"seconds": "1"}, say=said.append)
    assert final.completed
    assert (
        str(final) == f"{final.run_name} Completed · {url.removesuffix('/api')}/runs/flow-run/{final.run_id}"
    )
    wanted = ["Before the nap", "nap: Still napping after 1", "nap: Still napping after 2", "After the nap"]
    places = [next(n for n, line in enumerate(said) if text in line) for text in wanted]
    assert places == sorted(places)
    # The state is asked for apart from the log, so its line may come before or after the last one of the log.
    log_lines = [line for line in said if not line.startswith("State: ")]
    assert "Finished in state Completed()" in log_lines[-1]
    assert len(log_lines) == len(set(log_lines))


def test_a_failed_run_is_told_with_its_reason(url: str) -> None:
    final = run_deployment(url, "failing/failing", {"reason": "the moon"}, say=lambda _: None)
    assert not final.completed
    assert (final.type, final.name) == (StateType.FAILED, "Failed")
    assert "ValueError: the moon" in str(final.message)


def test_an_unknown_deployment_is_refused_naming_those_there_are(url: str) -> None:
    with pytest.raises(StackError, match=r"no deployment nightly at .* There are: failing, nap, parent"):
        run_deployment(url, "nightly", {}, say=lambda _: None)
    with pytest.raises(StackError, match="no deployment other/nap"):
        run_deployment(url, "other/nap", {}, say=lambda _: None)


def test_an_unknown_parameter_is_refused_naming_those_there_are(url: str) -> None:
    with pytest.raises(StackError, match="nap has no parameter second: it takes seconds, mode, date"):
        run_deployment(url, "nap", {"second": "1"}, say=lambda _: None)


@pytest.mark.parametrize(
    ("parameter", "value", "reason"),
    [("seconds", "many", "'many' is not of type 'number'"), ("mode", "upright", "not one of")],
)
def test_a_value_that_the_flow_does_not_take_is_refused(
    url: str, parameter: str, value: str, reason: str
) -> None:
    with pytest.raises(StackError, match=rf"refuses to run nap.*{parameter}.*{reason}"):
        run_deployment(url, "nap", {parameter: value}, say=lambda _: None)


def test_texts_are_read_as_the_schema_wants_them() -> None:
    nullable_day = {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
    topics = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
    properties: dict[str, Any] = {
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "dry_run": {"type": "boolean"},
        "name": {"type": "string"},
        "day": nullable_day,
        "no_day": nullable_day,
        "topics": topics,
        "model": {"$ref": "#/definitions/Model"},
    }
    deployment = Deployment(
        id="1", name="it", flow_id="2", parameter_openapi_schema=ParameterSchema(properties=properties)
    )
    texts = {
        "count": "3",
        "share": "0.5",
        "dry_run": "true",
        "name": "007",
        "day": "2026-10-30",
        "no_day": "null",
        "topics": '["T1", "T2"]',
        "model": "2PL",
    }
    assert read_parameters(deployment, texts) == {
        "count": 3,
        "share": 0.5,
        "dry_run": True,
        "name": "007",
        "day": "2026-10-30",
        "no_day": None,
        "topics": ["T1", "T2"],
        "model": "2PL",
    }


def test_the_same_key_twice_is_one_run(api: PrefectApi) -> None:
    nap = api.deployments(["nap"])[0]
    key = str(uuid.uuid4())
    before = api.count_runs()
    first = api.create_flow_run(nap, {"seconds": 0}, key=key)
    assert api.create_flow_run(nap, {"seconds": 0}, key=key).id == first.id
    assert api.count_runs() == before + 1


def test_every_page_of_a_long_log_is_read(api: PrefectApi) -> None:
    run_id = str(uuid.uuid4())
    lines = [
        {
            "name": "test",
            "level": 20,
            "message": f"line {n}",
            "timestamp": f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z",
            "flow_run_id": run_id,
        }
        for n in range(450)
    ]
    ask("POST", f"{api.url}/logs/", lines)
    assert [line.message for line in api.logs([run_id], after=None)] == [f"line {n}" for n in range(450)]


def test_a_server_that_does_not_answer_is_named_with_what_to_do() -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    said: list[str] = []
    with PrefectApi(url, patience_secs=0.5, say=said.append) as api:
        assert not api.is_healthy()
        with pytest.raises(StackError, match=r"does not answer.*`seedtest up`.*PREFECT_API_URL"):
            api.version()
    assert len(said) == 1


@pytest.mark.heavy
def test_a_run_is_followed_across_a_restart_of_the_server(url: str, running: Stack) -> None:
    said: list[str] = []
    kill_once = [running.pid(SERVER)]

    def say(line: str) -> None:
        said.append(line)
        if "Still napping" in line and kill_once:
            os.kill(kill_once.pop(), signal.SIGKILL)

    final = run_deployment(url, "nap", {"seconds": "6"}, say=say)
    assert final.completed
    assert any("does not answer: trying again" in line for line in said)


def test_a_run_that_no_worker_takes_up_is_warned_of(api: PrefectApi) -> None:
    api.create_work_pool("lonely", "process")
    nap = api.deployments(["nap"])[0]
    lonely = {"name": "lonely", "flow_id": nap.flow_id, "work_pool_name": "lonely"}
    ask("POST", f"{api.url}/deployments/", lonely)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("The run waits"):
            for run in api.runs(states=[StateType.SCHEDULED], pool="lonely"):
                api.set_state(run.id, StateType.CANCELLED, "Waited enough")

    final = run_deployment(api.url, "lonely", {}, say=say, unpolled_patience_secs=0)
    assert final.type is StateType.CANCELLED
    assert any("no worker is polling the work pool lonely" in line for line in said)


@pytest.mark.heavy
def test_ctrl_c_cancels_the_run_and_its_subflow(api: PrefectApi) -> None:
    code = (
        "from seedtest.local.runs import run_deployment;"
        f"final = run_deployment({api.url!r}, 'parent', {{'seconds': '120'}}, say=print); print(final)"
    )
    said: list[str] = []
    with child([sys.executable, "-u", "-c", code]) as following:
        for line in lines(following, PATIENCE_SECS):
            if "Still napping" in line and not any("Still napping" in earlier for earlier in said):
                following.send_signal(signal.SIGINT)
            said.append(line)
        assert following.wait(PATIENCE_SECS) == 0, "".join(said)
    assert "Cancelled" in said[-1]
    assert api.runs(states=UNFINISHED_STATES) == []
