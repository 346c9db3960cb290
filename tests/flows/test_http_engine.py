"""The calibration with its engine behind HTTP: as good as the embedded one, and safe when it fails."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from prefect.client.schemas.objects import State
from sqlalchemy.engine import Engine

from flows.mirt_calibrate import mirt_calibrate
from flows.stage import StageSummary
from tests.conftest import listening
from tests.flows.conftest import LAST_DAY
from tests.flows.snapshots import ESTIMATES, scalar, snapshot
from tests.irt_client.service import Behaviour, Exchange, Service, http, listening_service, says
from tests.irt_service.services import TOKEN, running
from tests.irt_service.services import Service as RealService

WRITTEN = (*ESTIMATES, "mirt_item_params_history", "mirt_fit_meta")
Spoil = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """The service of `seedtest irt-service`, in a process of its own."""
    with running("embedded", tmp_path_factory.mktemp("service"), TOKEN) as service:
        yield service


@pytest.fixture
def scripted() -> Iterator[Service]:
    with listening_service() as service:
        yield service


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What flow and client logged, in the order of the log."""
    with listening("prefect.flow_runs", "seedtest.irt_client") as told:
        yield told


@pytest.fixture
def over_http(environment: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Point the calibration at a service."""

    def use(address: str) -> None:
        monkeypatch.setenv("IRT_ENGINE", "http")
        monkeypatch.setenv("R_IRT_BASE_URL", address)
        monkeypatch.setenv("R_IRT_INTERNAL_TOKEN", TOKEN)
        monkeypatch.setenv("MIRT_RETRY_DELAY_SECS", "0.05")

    return use


def estimates(engine: Engine) -> dict[str, np.ndarray[Any, Any]]:
    """Return what learners and operators see of the last fit, in the order of its ids."""
    queries = {
        "items": "SELECT (params->>'a')::float, (params->>'b')::float, (params->>'c')::float,"
        " (params->>'se_a')::float, (params->>'se_b')::float, (params->>'n')::float"
        " FROM mirt_item_params ORDER BY item_id",
        "abilities": "SELECT theta, se FROM mirt_ability_latest ORDER BY user_id",
        "topics": "SELECT theta, se FROM student_topic_theta ORDER BY user_id, topic_id",
        "constants": "SELECT (model_spec->'linking_constants'->>'slope')::float,"
        " (model_spec->'linking_constants'->>'intercept')::float"
        " FROM mirt_fit_meta ORDER BY fitted_at DESC LIMIT 1",
    }
    with engine.connect() as connection:
        return {
            name: np.array(connection.execute(sa.text(query)).all(), dtype=np.float64)
            for name, query in queries.items()
        }


def contract_lines(lines: list[str], summary: StageSummary) -> list[str]:
    """Return the lines that operators look for, in the order they came, without the constants' digits."""
    starts = (
        "Loaded ",
        "Total observations: ",
        "Model: ",
        "Calling R IRT service...",
        "Linking constants received: ",
        "Calibration upsert completed: ",
        "IRT calibration completed successfully",
    )
    assert summary.counts["answers loaded"] > 0
    return [re.sub(r"-?\d+\.\d+", "…", line) for line in lines if line.startswith(starts)]


@pytest.mark.heavy
@pytest.mark.parametrize("model", ["2PL", "Rasch", "3PL"])
def test_both_engines_give_the_same_parameters_constants_and_lines(
    cohort: Engine, real: RealService, over_http: Callable[[str], None], lines: list[str], model: Any
) -> None:
    summary = mirt_calibrate(date=LAST_DAY, model=model)
    embedded, its_lines = estimates(cohort), contract_lines(lines, summary)
    lines.clear()
    with cohort.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {', '.join(WRITTEN)}"))
    over_http(str(real.client.base_url))
    summary = mirt_calibrate(date=LAST_DAY, model=model)
    served, http_lines = estimates(cohort), contract_lines(lines, summary)
    assert summary.facts["engine"] == "http"
    for name, values in embedded.items():
        assert values.size
        np.testing.assert_allclose(served[name], values, rtol=0, atol=0.002, err_msg=name)
    assert http_lines[4] == "Calling R IRT service..."
    assert http_lines[:4] + http_lines[5:] == its_lines
    assert not any("failed" in line for line in lines)


def test_held_anchors_too_give_the_same(
    cohort: Engine, real: RealService, over_http: Callable[[str], None]
) -> None:
    mirt_calibrate(date=LAST_DAY, linking="fixed")
    embedded = estimates(cohort)
    over_http(str(real.client.base_url))
    mirt_calibrate(date=LAST_DAY, linking="fixed")
    for name, values in estimates(cohort).items():
        np.testing.assert_allclose(values, embedded[name], rtol=0, atol=0.002, err_msg=name)


# -- failing services --------------------------------------------------------------------------------


def forwarded(real: RealService, spoil: Spoil) -> Behaviour:
    """Answer as the real service does, spoiled."""

    def behave(exchange: Exchange) -> None:
        exchange.read_request()
        said = real.answer("/irt/calibrate", exchange.received[-1].body)
        spoil(said)
        exchange.send(http(200, json.dumps(said).encode()))

    return behave


def half_of(real: RealService) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        exchange.read_request()
        said = json.dumps(real.answer("/irt/calibrate", exchange.received[-1].body)).encode()
        exchange.send(http(200, said[: len(said) // 2], length=len(said)))

    return behave


def dropped_upload(exchange: Exchange) -> None:
    exchange.read_headers()
    exchange.reset()


def hanging(exchange: Exchange) -> None:
    exchange.hang()


def one_more(said: dict[str, Any]) -> None:
    said["item_params"].append(said["item_params"][0] | {"item_id": "one-too-many"})


def failing(real: RealService) -> dict[str, tuple[Behaviour, str]]:
    """Return services that fail, each with what the log must say."""
    first = "invalid answer: "
    return {
        "500 for ever": (says(500, {"error": "out of memory"}), "after 3 attempts: HTTP 500: out of memory"),
        "garbage": (says(200, b"<html>"), "after 3 attempts: the answer of 6 bytes is not JSON"),
        "half an answer": (half_of(real), "after 3 attempts: the connection broke: peer closed"),
        "dropped upload": (dropped_upload, "after 3 attempts: the connection broke: "),
        "bad token": (says(401, {"error": "wrong"}), "after 1 attempts: HTTP 401: wrong: the token"),
        "no model": (says(422, {"error": "too few items"}), "after 1 attempts: HTTP 422: too few items"),
        "NaN": (
            forwarded(real, lambda said: said["item_params"][0]["params"].update(b=float("nan"))),
            f"after 1 attempts: {first}item_params.params.b of item ",
        ),
        "null": (
            forwarded(real, lambda said: said["abilities"][0].update(theta=None)),
            f"after 1 attempts: {first}abilities.theta of learner ",
        ),
        "missing item": (
            forwarded(real, lambda said: said["item_params"].pop()),
            f"after 1 attempts: {first}item ",
        ),
        "one item too many": (forwarded(real, one_more), f"after 1 attempts: {first}item 'one-too-many' "),
        "no learners": (
            forwarded(real, lambda said: said["abilities"].clear()),
            f"{first}it holds no item or no learner",
        ),
    }


def run_and_fail(day: date = LAST_DAY) -> None:
    state: State[StageSummary] = mirt_calibrate.with_options(retries=0)(date=day, return_state=True)
    assert state.is_failed()


def written(engine: Engine) -> tuple[Any, ...]:
    newest = scalar(engine, "SELECT max(fitted_at)::text FROM mirt_fit_meta")
    return newest, snapshot(engine, WRITTEN)


def test_nothing_is_written_unless_the_whole_answer_is_valid(
    cohort: Engine,
    real: RealService,
    scripted: Service,
    over_http: Callable[[str], None],
    lines: list[str],
    subtests: pytest.Subtests,
) -> None:
    mirt_calibrate(date=LAST_DAY)
    before = written(cohort)
    over_http(scripted.address)
    for name, (behaviour, reason) in failing(real).items():
        with subtests.test(name):
            lines.clear()
            scripted.play(behaviour)
            run_and_fail()
            assert written(cohort) == before
            told = next(line for line in lines if line.startswith("IRT calibration failed: "))
            assert f"R IRT service call failed {reason}" in told or reason in told
            calls = [line for line in lines if line.startswith("R IRT service call failed")]
            assert calls[-1] == told.removeprefix("IRT calibration failed: ")
            assert TOKEN not in "".join(lines)


def test_a_service_that_hangs_or_refuses_leaves_the_database_untouched(
    cohort: Engine,
    scripted: Service,
    over_http: Callable[[str], None],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mirt_calibrate(date=LAST_DAY)
    before = written(cohort)
    monkeypatch.setenv("R_IRT_TIMEOUT_SECS", "0.5")
    over_http(scripted.address)
    scripted.play(hanging)
    run_and_fail()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        over_http(f"http://127.0.0.1:{taken.getsockname()[1]}")
        run_and_fail()
    assert written(cohort) == before
    final = "IRT calibration failed: R IRT service call failed after 3 attempts: "
    assert [line.removeprefix(final) for line in lines if line.startswith("IRT calibration failed")] == [
        "timed out after 0.5 s",
        "cannot connect: Connection refused",
    ]


def test_two_failures_and_then_an_answer_calibrate_once(
    cohort: Engine, real: RealService, scripted: Service, over_http: Callable[[str], None], lines: list[str]
) -> None:
    busy = says(500, {"error": "busy"})
    scripted.play(busy, busy, forwarded(real, lambda _said: None))
    over_http(scripted.address)
    mirt_calibrate.with_options(retries=0)(date=LAST_DAY)
    assert scalar(cohort, "SELECT count(*) FROM mirt_fit_meta") == 1
    places = [
        next(at for at, line in enumerate(lines) if line.startswith(text))
        for text in (
            "Calling R IRT service...",
            "R IRT service call failed (attempt 1/3): HTTP 500: busy",
            "R IRT service call failed (attempt 2/3): HTTP 500: busy",
            "Linking constants received: {",
        )
    ]
    assert places == sorted(places)


def bare(said: dict[str, Any]) -> None:
    """Leave of an answer what the contract names and no more."""
    said.pop("exclusions")
    meta = said["fit_meta"]
    meta["metrics"] = {name: meta["metrics"][name] for name in ("aic", "bic", "loglik")}
    meta["model_spec"] = {"model": meta["model_spec"]["model"]}


def test_an_answer_with_the_contracts_fields_alone_is_published_and_shown(
    cohort: Engine, real: RealService, scripted: Service, over_http: Callable[[str], None]
) -> None:
    scripted.play(forwarded(real, bare))
    over_http(scripted.address)
    summary = mirt_calibrate.with_options(retries=0)(date=LAST_DAY)
    metrics = scalar(cohort, "SELECT metrics FROM mirt_fit_meta")
    assert (metrics["converged"], metrics["criterion"], metrics["log_prior"]) == (False, None, None)
    assert metrics["error_kind"] == "unknown"
    assert "nan" not in " ".join(summary.facts.values())
