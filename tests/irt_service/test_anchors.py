"""POST /irt/calibrate with anchors: held during the fit, or carrying the fit to their scale."""

from typing import Any

import pytest

from tests.irt_service.answers import Observations, anchor, simulated
from tests.irt_service.services import Service

A, B = 1.2, 0.5


@pytest.fixture(scope="module")
def free_fit(service: Service, lsat7_observations: Observations) -> Any:
    return service.answer("/irt/calibrate", {"observations": lsat7_observations, "model": "2PL"})


def transformed(item: dict[str, Any]) -> tuple[float, float]:
    """Discrimination and difficulty of an item on the scale of the anchors."""
    return item["params"]["a"] / A, A * item["params"]["b"] + B


def linked(service: Service, observations: Observations, anchors: list[dict[str, Any]], **more: str) -> Any:
    return service.answer(
        "/irt/calibrate", {"anchors": anchors, "observations": observations, "model": "2PL"} | more
    )


@pytest.mark.parametrize("method", [None, "mean-sigma", "mean-mean", "haebara", "stocking-lord"])
def test_a_free_fit_is_put_on_the_anchors_scale(
    service: Service, lsat7_observations: Observations, free_fit: Any, method: str | None
) -> None:
    anchors = [
        anchor(item["item_id"], *transformed(item), fixed=False) for item in free_fit["item_params"][:4]
    ]
    answer = linked(service, lsat7_observations, anchors, **({} if method is None else {"linking": method}))
    meta = answer["fit_meta"]
    for constants in (meta["linking_constants"], meta["model_spec"]["linking_constants"]):
        assert constants["slope"] == pytest.approx(A, abs=0.002)
        assert constants["intercept"] == pytest.approx(B, abs=0.002)
    assert meta["model_spec"]["n_anchors"] == 4
    assert meta["model_spec"]["theta_mean"] == pytest.approx(B, abs=0.002)
    assert meta["model_spec"]["theta_sd"] == pytest.approx(A, abs=0.002)
    expected = {item["item_id"]: item for item in free_fit["item_params"]}
    for item in answer["item_params"]:
        free = expected[item["item_id"]]
        a, b = transformed(free)
        assert item["params"]["a"] == pytest.approx(a, abs=0.002)
        assert item["params"]["b"] == pytest.approx(b, abs=0.005)
        assert item["se"]["a"] == pytest.approx(free["se"]["a"] / A, rel=0.01)
        assert item["se"]["b"] == pytest.approx(free["se"]["b"] * A, rel=0.01)
    theta = {ability["user_id"]: ability for ability in free_fit["abilities"]}
    for ability in answer["abilities"]:
        free = theta[ability["user_id"]]
        assert ability["theta"] == pytest.approx(A * free["theta"] + B, abs=0.005)
        assert ability["se"] == pytest.approx(A * free["se"], abs=0.005)


def test_one_anchor_carries_no_scale(
    service: Service, lsat7_observations: Observations, free_fit: Any
) -> None:
    item = free_fit["item_params"][0]
    answer = linked(service, lsat7_observations, [anchor(item["item_id"], *transformed(item), fixed=False)])
    meta = answer["fit_meta"]
    assert meta["linking_constants"] is None
    assert meta["model_spec"]["linking_constants"] is None
    assert "2 are needed" in meta["model_spec"]["reason"]
    assert answer["item_params"][0]["params"]["b"] == pytest.approx(item["params"]["b"], abs=1e-4)


def test_anchors_that_contradict_each_other_carry_no_scale(
    service: Service, lsat7_observations: Observations, free_fit: Any
) -> None:
    anchors = [
        anchor(item["item_id"], item["params"]["a"], -item["params"]["b"], fixed=False)
        for item in free_fit["item_params"]
    ]
    meta = linked(service, lsat7_observations, anchors)["fit_meta"]
    assert meta["linking_constants"] is None
    assert meta["model_spec"]["reason"]


def test_anchors_without_answers_carry_no_scale(service: Service, lsat7_observations: Observations) -> None:
    anchors = [anchor(f"elsewhere-{number}", 1.0, number, fixed=False) for number in range(3)]
    meta = linked(service, lsat7_observations, anchors)["fit_meta"]
    assert meta["linking_constants"] is None
    assert meta["model_spec"]["n_anchors"] == 0


@pytest.fixture(scope="module")
def held(service: Service) -> tuple[Any, Any]:
    observations, truth = simulated(11, 1500, 12, mean=0.6, sd=1.3)
    anchors = [
        anchor(truth.item_ids[at], float(truth.a[at]), float(truth.b[at]), fixed=True)
        for at in range(0, 12, 2)
    ]
    return linked(service, observations, anchors), truth


def test_held_anchors_keep_their_parameters(held: tuple[Any, Any]) -> None:
    answer, truth = held
    for at, item in enumerate(sorted(answer["item_params"], key=lambda item: int(item["item_id"][1:]))):
        if at % 2 == 0:
            assert item["params"]["a"] == pytest.approx(truth.a[at], abs=1e-9)
            assert item["params"]["b"] == pytest.approx(truth.b[at], abs=1e-9)
            assert item["se"]["a"] is None
            assert item["se"]["b"] is None
        else:
            assert item["params"]["b"] == pytest.approx(truth.b[at], abs=0.3)
            assert item["se"]["b"] > 0


def test_held_anchors_free_the_mean_and_variance_of_ability(held: tuple[Any, Any]) -> None:
    meta = held[0]["fit_meta"]
    assert meta["linking_constants"] is None
    assert meta["model_spec"]["n_anchors"] == 6
    assert meta["model_spec"]["theta_mean"] == pytest.approx(0.6, abs=0.15)
    assert meta["model_spec"]["theta_sd"] == pytest.approx(1.3, abs=0.15)


def test_beside_held_anchors_the_others_carry_no_scale(service: Service) -> None:
    observations, truth = simulated(12, 600, 8)
    anchors = [
        anchor("Q0", float(truth.a[0]), float(truth.b[0]), fixed=True),
        anchor("Q3", float(truth.a[3]), float(truth.b[3]), fixed=True),
        anchor("Q5", 1.0, 5.0, fixed=False),
    ]
    answer = linked(service, observations, anchors)
    found = {item["item_id"]: item["params"] for item in answer["item_params"]}
    assert answer["fit_meta"]["linking_constants"] is None
    assert answer["fit_meta"]["model_spec"]["n_anchors"] == 2
    assert found["Q5"]["b"] == pytest.approx(truth.b[5], abs=0.5)
