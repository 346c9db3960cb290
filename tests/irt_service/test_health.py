"""What a probe and a scraper ask."""

import datetime as dt

import pytest

from tests.irt_service.services import Service, error_of


@pytest.mark.parametrize("path", ["/healthz", "/health"])
def test_health_says_what_runs_and_what_time_it_is(service: Service, path: str) -> None:
    answer = service.client.get(path).json()
    assert answer["status"] == "ok"
    assert isinstance(answer["service"], str)
    assert isinstance(answer["version"], str)
    time = dt.datetime.fromisoformat(answer["time"])
    assert abs(dt.datetime.now(dt.UTC) - time) < dt.timedelta(minutes=1)


def test_metrics_are_prometheus_text(service: Service) -> None:
    response = service.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert "# TYPE " in response.text
    lines = [line for line in response.text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        float(line.rsplit(" ", 1)[1])


def test_an_unknown_path_is_404_with_an_error(service: Service) -> None:
    response = service.client.get("/irt/nothing")
    assert response.status_code == 404
    error_of(response)


@pytest.mark.parametrize(("method", "path"), [("GET", "/irt/calibrate"), ("PUT", "/irt/score")])
def test_a_wrong_method_is_405_with_an_error(service: Service, method: str, path: str) -> None:
    response = service.client.request(method, path)
    assert response.status_code == 405
    error_of(response)
