"""POST /irt/score: known EAPs, priors, what counts."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.irt_service.services import Service, error_of

ITEMS = {
    "I1": {"a": 0.9875, "b": -1.8793, "c": 0.0},
    "I2": {"a": 1.0808, "b": -0.7475, "c": 0.0},
    "I3": {"a": 1.7075, "b": -1.0576, "c": 0.15},
    "I4": {"a": 0.7651, "b": -0.6354, "c": 0.0},
    "I5": {"a": 0.7357, "b": -2.5203, "c": 0.25},
}


def eap(pattern: str, mean: float = 0.0, sd: float = 1.0) -> tuple[float, float]:
    """Mean and standard deviation of the posterior, by brute force on a fine grid."""
    theta = np.linspace(mean - 10 * sd, mean + 10 * sd, 20_001)
    posterior = np.exp(-0.5 * ((theta - mean) / sd) ** 2)
    for item, verdict in zip(ITEMS.values(), pattern, strict=True):
        p = item["c"] + (1 - item["c"]) / (1 + np.exp(-item["a"] * (theta - item["b"])))
        posterior *= {"1": p, "0": 1 - p, "-": 1.0}[verdict]
    posterior /= posterior.sum()
    expected = float(posterior @ theta)
    return expected, float(np.sqrt(posterior @ (theta - expected) ** 2))


def responses(pattern: str) -> list[dict[str, Any]]:
    return [
        {"item_id": item_id, "is_correct": verdict == "1"}
        for item_id, verdict in zip(ITEMS, pattern, strict=True)
        if verdict != "-"
    ]


@pytest.mark.parametrize("pattern", ["11111", "00000", "10101", "1----", "0---1", "01010"])
@pytest.mark.parametrize("prior", [None, {"mean": 0.5, "sd": 1.5}])
def test_ability_is_the_mean_of_the_posterior(
    service: Service, pattern: str, prior: dict[str, float] | None
) -> None:
    body = {"item_params": ITEMS, "responses": responses(pattern)} | ({"prior": prior} if prior else {})
    answer = service.answer("/irt/score", body)
    theta, se = eap(pattern, **(prior or {}))
    assert set(answer) == {"status", "theta", "standard_error", "n_items"}
    assert answer["theta"] == pytest.approx(theta, abs=0.001)
    assert answer["standard_error"] == pytest.approx(se, abs=0.001)
    assert answer["n_items"] == 5 - pattern.count("-")


def test_answers_to_unknown_items_do_not_count(service: Service) -> None:
    known = {"item_params": ITEMS, "responses": responses("10101")}
    stranger = {"item_id": "elsewhere", "is_correct": False}
    more = known | {"responses": [stranger, *responses("10101")], "model": "2PL"}
    assert service.answer("/irt/score", more) == service.answer("/irt/score", known)


def test_a_missing_or_null_asymptote_is_zero(service: Service) -> None:
    pattern = [{"item_id": "Q1", "is_correct": True}]
    thetas = {
        service.answer("/irt/score", {"item_params": {"Q1": params}, "responses": pattern})["theta"]
        for params in ({"a": 1.2, "b": 0.3}, {"a": 1.2, "b": 0.3, "c": None}, {"a": 1.2, "b": 0.3, "c": 0})
    }
    assert len(thetas) == 1


@pytest.mark.parametrize(
    ("items", "given"),
    [(ITEMS, []), (ITEMS, [{"item_id": "elsewhere", "is_correct": True}]), ({}, responses("11111"))],
)
def test_without_an_answer_that_counts_it_is_422(service: Service, items: Any, given: Any) -> None:
    response = service.post("/irt/score", {"item_params": items, "responses": given})
    assert response.status_code == 422
    error_of(response)


def test_a_packed_body_may_come_in_the_smallest_pieces(service: Service) -> None:
    """Its first ten bytes, the header, unpack to nothing."""
    packed = gzip.compress(json.dumps({"item_params": ITEMS, "responses": responses("10101")}).encode())

    def dripping() -> Iterator[bytes]:
        yield packed[:10]
        yield from (packed[at : at + 7] for at in range(10, len(packed), 7))

    answer = service.client.post("/irt/score", content=dripping(), headers={"content-encoding": "gzip"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["theta"] == pytest.approx(eap("10101")[0], abs=1e-6)
