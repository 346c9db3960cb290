"""Estimates equal those of R's mirt, to the digits of the reference."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seedtest.irt import Calibration, ItemPriors, Prior, Responses, calibrate, score_groups
from seedtest.irt.parameters import FloatArray

LOGLIK = {"dense_500x150_2pl": -40269.614, "sparse_20000x500_2pl": -445228.296}


@dataclass(frozen=True)
class Golden:
    name: str
    folder: Path
    responses: Responses
    fit: Calibration

    def column(self, file: str, key: str, name: str) -> FloatArray:
        """A column of the reference in the order of our ids."""
        ids = self.fit.items.item_ids if key == "item_id" else self.fit.abilities.user_ids
        reference = pl.read_csv(self.folder / file, schema_overrides={key: pl.String})
        ordered = pl.DataFrame({key: list(ids)}).join(reference, on=key, how="left", maintain_order="left")
        return ordered[name].cast(pl.Float64).to_numpy()


@pytest.fixture(scope="module", params=sorted(LOGLIK))
def golden(request: pytest.FixtureRequest, shared: Path) -> Golden:
    return calibrated(shared, request.param)


def calibrated(shared: Path, name: str, **options: Any) -> Golden:
    folder = shared / "reference" / "irt" / name
    frame = pl.read_parquet(folder / "responses.parquet")
    responses = Responses.from_frame(frame.with_columns(pl.col("user_id", "item_id").cast(pl.String)))
    return Golden(name, folder, responses, calibrate(responses, **options))


def test_the_log_likelihood_has_mirts_digits(golden: Golden) -> None:
    assert golden.fit.converged
    assert golden.fit.loglik == pytest.approx(LOGLIK[golden.name], abs=6e-4)


@pytest.mark.parametrize("name", ["a", "b"])
def test_item_parameters_are_mirts(golden: Golden, name: str) -> None:
    reference = golden.column("mirt_items.csv", "item_id", name)
    np.testing.assert_allclose(getattr(golden.fit.items, name), reference, rtol=0, atol=5e-4)


@pytest.mark.parametrize("name", ["theta", "se"])
def test_abilities_are_mirts(golden: Golden, name: str) -> None:
    reference = golden.column("mirt_eap.csv", "user_id", name)
    np.testing.assert_allclose(getattr(golden.fit.abilities, name), reference, rtol=0, atol=2e-4)


REFERENCE_PRIORS = ItemPriors(log_a=Prior(0.0, 0.5), b=None, c=Prior(-1.39, 0.7))


@pytest.fixture(scope="module")
def golden_3pl(shared: Path) -> Golden:
    return calibrated(shared, "dense_500x150_3pl", model="3PL", item_priors=REFERENCE_PRIORS)


def test_a_3pl_with_priors_has_mirts_penalised_log_likelihood(golden_3pl: Golden) -> None:
    assert golden_3pl.fit.converged
    assert golden_3pl.fit.loglik + golden_3pl.fit.log_prior == pytest.approx(-43080.14778, abs=6e-6)


@pytest.mark.parametrize(("name", "tolerance"), [("a", 2e-3), ("b", 2e-3), ("c", 5e-4)])
def test_3pl_parameters_are_mirts(golden_3pl: Golden, name: str, tolerance: float) -> None:
    reference = golden_3pl.column("mirt_items.csv", "item_id", name)
    np.testing.assert_allclose(getattr(golden_3pl.fit.items, name), reference, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["theta", "se"])
def test_3pl_abilities_are_mirts(golden_3pl: Golden, name: str) -> None:
    reference = golden_3pl.column("mirt_eap.csv", "user_id", name)
    np.testing.assert_allclose(getattr(golden_3pl.fit.abilities, name), reference, rtol=0, atol=2e-4)


def test_an_em_step_is_below_1e_4_after_twelve_iterations(golden: Golden, golden_3pl: Golden) -> None:
    assert calibrate(golden.responses, max_iterations=12, tolerance=1e-4).converged
    options: dict[str, Any] = {"model": "3PL", "item_priors": REFERENCE_PRIORS}
    assert calibrate(golden_3pl.responses, max_iterations=12, tolerance=1e-4, **options).converged


def test_nothing_is_left_out(golden: Golden) -> None:
    assert golden.fit.exclusions == ()
    assert golden.fit.n_observations == len(golden.responses)


def test_scoring_with_the_fitted_items_gives_the_fitted_abilities(golden: Golden) -> None:
    responses, fit = golden.responses, golden.fit
    item = fit.items.index_of(responses.item_ids)[responses.item]
    scores = score_groups(fit.items, responses.user, item, responses.correct, len(responses.user_ids))
    np.testing.assert_array_equal(scores.theta, fit.abilities.theta)
    np.testing.assert_array_equal(scores.se, fit.abilities.se)


def test_standard_errors_are_mirts_on_dense_data(shared: Path) -> None:
    dense = calibrated(shared, "dense_500x150_2pl")
    full = dense.column("mirt_slope_intercept_se.csv", "item_id", "se_a")
    np.testing.assert_allclose(dense.fit.items.se_a, full, rtol=0.02)


@pytest.fixture(scope="module")
def lsat7_answers(shared: Path) -> Responses:
    """Bock & Lieberman (1970): 1,000 learners, 5 items."""
    wide = pl.read_csv(shared / "reference" / "irt" / "lsat7" / "responses.csv").with_row_index("user_id")
    long = wide.unpivot(index="user_id", variable_name="item_id", value_name="correct")
    frame = long.with_columns(pl.col("user_id").cast(pl.String), pl.col("correct") == 1)
    return Responses.from_frame(frame)


@pytest.fixture(scope="module")
def lsat7(lsat7_answers: Responses) -> Calibration:
    return calibrate(lsat7_answers)


@pytest.mark.parametrize("model", ["Rasch", "1PL"])
def test_lsat7_has_mirts_rasch_model_on_either_scale(lsat7_answers: Responses, model: str) -> None:
    fit = calibrate(lsat7_answers, model=model)
    assert fit.loglik == pytest.approx(-2664.901, abs=6e-4)
    assert fit.n_parameters == 6
    np.testing.assert_allclose((fit.items.a * fit.prior.sd) ** 2, 1.022647, rtol=0, atol=2e-5)


def test_lsat7_has_the_published_fit(lsat7: Calibration) -> None:
    assert lsat7.loglik == pytest.approx(-2658.805, abs=6e-4)
    assert lsat7.aic == pytest.approx(5337.610, abs=6e-4)
    assert lsat7.bic == pytest.approx(5386.688, abs=6e-4)


def test_lsat7_has_mirts_items(lsat7: Calibration, shared: Path) -> None:
    reference = pl.read_csv(shared / "reference" / "irt" / "lsat7" / "mirt_2pl_items.csv")
    a, d = reference["a1"].to_numpy(), reference["d"].to_numpy()
    np.testing.assert_allclose(lsat7.items.a, a, rtol=0, atol=5e-4)
    np.testing.assert_allclose(lsat7.items.b, -d / a, rtol=0, atol=5e-4)
