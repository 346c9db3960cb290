"""Errors as answers, and the line that each request leaves in the log."""

import json
import logging

import httpx
import pytest
from fastapi import FastAPI

from seedtest.api import refusals
from seedtest.api.json_lines import JsonLines
from seedtest.api.metrics import HttpMetrics
from seedtest.api.observing import Observing
from seedtest.errors import RequestError


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def metrics() -> HttpMetrics:
    return HttpMetrics()


@pytest.fixture
def app(metrics: HttpMetrics) -> FastAPI:
    app = FastAPI()
    refusals.install(app)
    app.add_middleware(Observing, metrics=metrics)

    @app.get("/broken/{user_id}")
    def broken(user_id: str) -> None:
        raise ZeroDivisionError(user_id)

    @app.get("/refused")
    def refused() -> None:
        raise RequestError("x: is wrong.", status=418, headers={"Retry-After": "5"})

    return app


async def asked(app: FastAPI, path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.get(path, headers=headers)


@pytest.mark.anyio
async def test_an_unexpected_error_shows_nothing_but_where_to_look(app: FastAPI) -> None:
    response = await asked(app, "/broken/anna", **{"X-Request-Id": "my-request"})
    assert response.status_code == 500
    assert response.json() == {
        "error": "Internal error; the log of the service has the details of request my-request."
    }


@pytest.mark.anyio
async def test_a_refusal_keeps_its_status_and_headers(app: FastAPI) -> None:
    response = await asked(app, "/refused")
    assert (response.status_code, response.headers["retry-after"]) == (418, "5")
    assert response.json() == {"error": "x: is wrong."}


@pytest.mark.anyio
async def test_a_request_id_that_is_none_is_replaced(app: FastAPI) -> None:
    kept = await asked(app, "/refused", **{"X-Request-Id": "abc-1"})
    assert kept.headers["x-request-id"] == "abc-1"
    replaced = await asked(app, "/refused", **{"X-Request-Id": 'x" injected'})
    assert replaced.headers["x-request-id"] not in {'x" injected', ""}


@pytest.mark.anyio
async def test_log_and_metrics_name_the_route_and_no_learner(
    app: FastAPI, metrics: HttpMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="seedtest.api.observing"):
        await asked(app, "/broken/anna")
        await asked(app, "/anna")
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert [(line["path"], line["status"]) for line in lines] == [("/broken/{user_id}", 500), ("other", 404)]
    assert all(line["request_id"] and line["seconds"] >= 0 for line in lines)
    exposition = bytes(metrics.exposition().body).decode()
    assert 'http_requests_total{method="GET",path="/broken/{user_id}",status="500"} 1.0' in exposition
    assert "anna" not in caplog.text + exposition
