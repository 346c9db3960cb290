"""POST /irt/calibrate: golden values, what is reported, what is left out."""

import csv
import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.irt_service.answers import Observations, observation, simulated
from tests.irt_service.services import Service, error_of

ITEM_KEYS = {"item_id", "params", "se", "n", "model", "version"}
ABILITY_KEYS = {"user_id", "theta", "se", "model", "version"}


def by_item(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["item_id"]: item for item in answer["item_params"]}


@pytest.fixture(scope="module")
def lsat7_fit(service: Service, lsat7_observations: Observations) -> Any:
    return service.answer("/irt/calibrate", {"observations": lsat7_observations, "model": "2PL"})


@pytest.fixture(scope="module")
def mirt_items(shared: Path) -> dict[str, tuple[float, float]]:
    with (shared / "reference" / "irt" / "lsat7" / "mirt_2pl_items.csv").open() as file:
        return {
            row[""]: (float(row["a1"]), -float(row["d"]) / float(row["a1"])) for row in csv.DictReader(file)
        }


def test_lsat7_has_the_published_likelihood(lsat7_fit: Any) -> None:
    metrics = lsat7_fit["fit_meta"]["metrics"]
    assert metrics["loglik"] == pytest.approx(-2658.805, abs=0.002)
    assert metrics["aic"] == pytest.approx(5337.610, abs=0.004)
    assert metrics["bic"] == pytest.approx(5386.688, abs=0.004)
    assert metrics["converged"] is True
    assert metrics["n_iterations"] >= 1


def test_lsat7_has_mirts_parameters(lsat7_fit: Any, mirt_items: dict[str, tuple[float, float]]) -> None:
    found = by_item(lsat7_fit)
    assert set(found) == set(mirt_items)
    for item_id, (a, b) in mirt_items.items():
        assert found[item_id]["params"]["a"] == pytest.approx(a, abs=0.002)
        assert found[item_id]["params"]["b"] == pytest.approx(b, abs=0.002)
        assert found[item_id]["params"]["c"] == 0


def test_items_carry_what_the_contract_names(lsat7_fit: Any) -> None:
    for item in lsat7_fit["item_params"]:
        assert set(item) == ITEM_KEYS
        assert set(item["params"]) == set(item["se"]) == {"a", "b", "c"}
        assert item["se"]["a"] > 0
        assert item["se"]["b"] > 0
        assert item["se"]["c"] is None
        assert item["n"] == 1000
        assert item["model"] == "2PL"
        assert isinstance(item["version"], str)


def test_every_learner_gets_an_ability(lsat7_fit: Any, lsat7_observations: Observations) -> None:
    abilities = lsat7_fit["abilities"]
    assert {a["user_id"] for a in abilities} == {o["user_id"] for o in lsat7_observations}
    assert len(abilities) == 1000
    for ability in abilities:
        assert set(ability) == ABILITY_KEYS
        assert 0 < ability["se"] < 1.01
    theta = np.array([a["theta"] for a in abilities])
    # EAPs are shrunken: marginal reliability of these five items is 0.44.
    assert theta.mean() == pytest.approx(0.0, abs=0.01)
    assert theta.var() == pytest.approx(0.44, abs=0.03)


def test_the_fit_is_described(lsat7_fit: Any) -> None:
    meta = lsat7_fit["fit_meta"]
    assert meta["linking_constants"] is None
    assert meta["run_id"].startswith("fit-")
    dt.datetime.fromisoformat(meta["run_id"].removeprefix("fit-"))
    spec = meta["model_spec"]
    wanted = {"model": "2PL", "n_items": 5, "n_users": 1000, "n_observations": 5000, "n_anchors": 0}
    assert {name: spec[name] for name in wanted} == wanted
    assert spec["linking_constants"] is None
    assert (spec["theta_mean"], spec["theta_sd"]) == (0, 1)
    assert lsat7_fit["exclusions"] == []


def test_a_rasch_model_frees_the_variance_of_ability(
    service: Service, lsat7_observations: Observations
) -> None:
    answer = service.answer("/irt/calibrate", {"observations": lsat7_observations, "model": "Rasch"})
    meta = answer["fit_meta"]
    assert meta["metrics"]["loglik"] == pytest.approx(-2664.901, abs=0.002)
    assert meta["model_spec"]["theta_sd"] ** 2 == pytest.approx(1.022647, abs=0.002)
    assert {item["params"]["a"] for item in answer["item_params"]} == {1}
    assert {item["se"]["a"] for item in answer["item_params"]} == {None}


def test_a_1pl_is_the_rasch_model_on_the_standard_scale(
    service: Service, lsat7_observations: Observations
) -> None:
    answer = service.answer("/irt/calibrate", {"observations": lsat7_observations, "model": "1PL"})
    meta = answer["fit_meta"]
    assert meta["metrics"]["loglik"] == pytest.approx(-2664.901, abs=0.002)
    assert meta["model_spec"]["theta_sd"] == pytest.approx(1.0, abs=1e-9)
    for item in answer["item_params"]:
        assert item["params"]["a"] == pytest.approx(1.022647**0.5, abs=0.002)


def test_a_3pl_finds_lower_asymptotes(service: Service) -> None:
    observations, truth = simulated(7, 1000, 12, c=0.2)
    answer = service.answer("/irt/calibrate", {"observations": observations, "model": "3PL"})
    found = by_item(answer)
    b = [found[item_id]["params"]["b"] for item_id in truth.item_ids]
    c = np.array([found[item_id]["params"]["c"] for item_id in truth.item_ids])
    assert np.corrcoef(b, truth.b)[0, 1] > 0.9
    assert ((c >= 0) & (c < 0.6)).all()
    assert c.mean() == pytest.approx(0.2, abs=0.1)
    assert np.isfinite(answer["fit_meta"]["metrics"]["loglik"])


def test_the_order_of_answers_and_keys_does_not_matter(
    service: Service, lsat7_observations: Observations, lsat7_fit: Any
) -> None:
    reordered = [
        {"is_correct": o["is_correct"], "responded_at": "2026-03-01T10:00:00Z", "item_id": o["item_id"]}
        | {"user_id": o["user_id"], "something": {"else": [1, {"deep": None}]}}
        for o in reversed(lsat7_observations)
    ]
    body = {"unknown": [[]], "anchors": [], "model": "2PL", "observations": reordered}
    found, expected = by_item(service.answer("/irt/calibrate", body)), by_item(lsat7_fit)
    for item_id, item in expected.items():
        assert found[item_id]["params"]["a"] == pytest.approx(item["params"]["a"], abs=1e-6)
        assert found[item_id]["params"]["b"] == pytest.approx(item["params"]["b"], abs=1e-6)


def test_ids_are_free_text(service: Service) -> None:
    observations, _ = simulated(3, 200, 5)
    names = {"Q0": "Q 1", "Q1": "문항-2", "Q2": 'say "x"\\', "Q3": "007", "Q4": "🧪"}
    renamed = [
        observation(f"학습자 {o['user_id']}", names[o["item_id"]], o["is_correct"]) for o in observations
    ]
    answer = service.answer("/irt/calibrate", {"observations": renamed, "model": "Rasch"})
    assert set(by_item(answer)) == set(names.values())
    assert "학습자 u0" in {ability["user_id"] for ability in answer["abilities"]}


def test_an_item_that_everybody_gets_right_is_left_out_and_named(service: Service) -> None:
    observations, _ = simulated(5, 300, 6)
    easy = [observation(f"u{user}", "easy", is_correct=True) for user in range(300)]
    alone = [observation("loner", "easy", is_correct=True)]
    answer = service.answer("/irt/calibrate", {"observations": observations + easy + alone, "model": "2PL"})
    assert "easy" not in by_item(answer)
    assert "loner" not in {ability["user_id"] for ability in answer["abilities"]}
    excluded = {(e["kind"], e["id"]): e for e in answer["exclusions"]}
    assert excluded["item", "easy"]["n"] == 301
    assert "right" in excluded["item", "easy"]["reason"]
    assert excluded["user", "loner"]["n"] == 1
    assert answer["fit_meta"]["model_spec"]["n_observations"] == 1800
    assert answer["fit_meta"]["model_spec"]["n_users"] == 300


def test_a_compressed_body_is_taken(
    service: Service, lsat7_observations: Observations, lsat7_fit: Any
) -> None:
    body = json.dumps({"model": "2PL", "observations": lsat7_observations}).encode()
    response = service.post_bytes("/irt/calibrate", gzip.compress(body), content_encoding="gzip")
    assert response.status_code == 200, response.text
    loglik = response.json()["fit_meta"]["metrics"]["loglik"]
    assert loglik == pytest.approx(lsat7_fit["fit_meta"]["metrics"]["loglik"], abs=1e-6)


@pytest.mark.parametrize(
    "observations",
    [
        pytest.param([], id="none"),
        pytest.param([observation("u1", "Q1", is_correct=True)], id="one"),
        pytest.param(
            [observation(f"u{u}", f"Q{i}", is_correct=True) for u in range(50) for i in range(5)],
            id="all right",
        ),
        pytest.param([observation(f"u{u}", "Q1", is_correct=u % 2 == 0) for u in range(50)], id="one item"),
    ],
)
def test_data_that_no_model_can_be_fitted_to_are_422(service: Service, observations: Observations) -> None:
    response = service.post("/irt/calibrate", {"observations": observations, "model": "2PL"})
    assert response.status_code == 422
    error_of(response)
