"""Who may ask."""

import httpx
import pytest

from tests.irt_service.services import TOKEN, Service, error_of

SCORE = {
    "item_params": {"Q1": {"a": 1.0, "b": 0.0, "c": 0.0}},
    "responses": [{"item_id": "Q1", "is_correct": True}],
}


def bare(service: Service) -> httpx.Client:
    return httpx.Client(base_url=service.client.base_url, timeout=30, trust_env=False)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer",
        "Bearer tök€n".encode(),
    ],
)
@pytest.mark.parametrize("path", ["/irt/score", "/irt/calibrate"])
def test_a_wrong_token_is_401(service: Service, path: str, header: str | bytes | None) -> None:
    headers: dict[str, str | bytes] = {} if header is None else {"authorization": header}
    with bare(service) as client:
        response = client.post(path, json=SCORE, headers=headers)  # type: ignore[arg-type]  # bytes are legal
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert TOKEN not in error_of(response)


def test_the_right_token_is_let_in(service: Service) -> None:
    assert service.answer("/irt/score", SCORE)["n_items"] == 1


@pytest.mark.parametrize("path", ["/healthz", "/health", "/metrics"])
def test_probes_need_no_token(service: Service, path: str) -> None:
    with bare(service) as client:
        assert client.get(path).status_code == 200


def test_no_token_is_logged(service: Service) -> None:
    with bare(service) as client:
        client.post("/irt/score", json=SCORE, headers={"authorization": "Bearer a-wrong-guess"})
    log = service.log.read_text()
    assert TOKEN not in log
    assert "a-wrong-guess" not in log


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer anything"}])
def test_without_a_configured_token_the_header_is_ignored(
    open_service: Service, header: dict[str, str]
) -> None:
    response = open_service.client.post("/irt/score", json=SCORE, headers=header)
    assert response.status_code == 200
