"""Fit of items and model, reliability and classical statistics."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seedtest.errors import DataError
from seedtest.irt import Calibration, LinkingConstants, Responses, calibrate
from seedtest.irt.fit import (
    classical_statistics,
    item_fit,
    mean_squares,
    model_fit,
    reliability,
    test_information,
)
from tests.irt.simulation import simulate


@pytest.fixture(scope="module")
def lsat7(shared: Path) -> tuple[Path, Responses, Calibration]:
    folder = shared / "reference" / "irt" / "lsat7"
    wide = pl.read_csv(folder / "responses.csv").with_row_index("user")
    answers = wide.unpivot(index="user", variable_name="item_id", value_name="correct").select(
        user_id=pl.col("user").cast(pl.String).str.zfill(4), item_id="item_id", correct=pl.col("correct") == 1
    )
    responses = Responses.from_frame(answers)
    return folder, responses, calibrate(responses, item_priors=None, tolerance=1e-9)


def test_s_x2_has_mirts_digits(lsat7: tuple[Path, Responses, Calibration]) -> None:
    folder, responses, fit = lsat7
    found, expected = item_fit(responses, fit), pl.read_csv(folder / "mirt_2pl_sx2.csv")
    assert list(found.item_ids) == expected["item"].to_list()
    np.testing.assert_allclose(found.s_x2, expected["S_X2"], rtol=1e-5)
    np.testing.assert_array_equal(found.df, expected["df.S_X2"])
    np.testing.assert_allclose(found.p_value, expected["p.S_X2"], rtol=1e-3)
    np.testing.assert_allclose(found.rmsea, expected["RMSEA.S_X2"], atol=1e-5)


def test_m2_has_mirts_digits(lsat7: tuple[Path, Responses, Calibration]) -> None:
    folder, responses, fit = lsat7
    found, expected = model_fit(responses, fit), pl.read_csv(folder / "mirt_2pl_m2.csv").row(0, named=True)
    assert found.df == expected["df"]
    assert found.m2 == pytest.approx(expected["M2"], rel=1e-5)
    for name, column in {
        "p_value": "p",
        "rmsea": "RMSEA",
        "rmsea_5": "RMSEA_5",
        "rmsea_95": "RMSEA_95",
        "srmsr": "SRMSR",
        "tli": "TLI",
        "cfi": "CFI",
    }.items():
        assert getattr(found, name) == pytest.approx(expected[column], rel=1e-5), name


@pytest.mark.parametrize(("model", "df"), [("Rasch", 44), ("1PL", 44), ("2PL", 35), ("3PL", 25)])
def test_a_model_that_holds_is_not_rejected(model: str, df: int) -> None:
    responses = simulate(31, 1_500, 10, sd_log_a=0.0).responses
    fit = calibrate(responses, model=model)
    assert len(fit.items) == 10
    whole, items = model_fit(responses, fit), item_fit(responses, fit)
    assert whole.df == df
    assert whole.p_value > 0.01
    assert np.nanmin(items.p_value) > 1e-4


def test_a_wrong_model_is_rejected() -> None:
    responses = simulate(32, 3_000, 10, sd_log_a=0.8).responses
    assert model_fit(responses, calibrate(responses, model="Rasch")).p_value < 1e-6


def test_a_parameter_that_all_items_share_costs_a_degree_of_freedom() -> None:
    """A Rasch model with free variance and a 1PL are one model; with the variance held it has one less."""
    responses = simulate(seed=4, n_users=600, n_items=8, sd_log_a=0.0).responses
    by = {
        name: item_fit(responses, calibrate(responses, model=model, free_variance=free))
        for name, model, free in (("free", "Rasch", True), ("1PL", "1PL", True), ("held", "Rasch", False))
    }
    np.testing.assert_allclose(by["free"].s_x2, by["1PL"].s_x2, rtol=1e-4)
    assert (by["free"].df == by["1PL"].df).all()
    assert by["held"].df.sum() > by["free"].df.sum()


def test_linking_changes_no_fit() -> None:
    responses = simulate(33, 800, 8).responses
    free = calibrate(responses)
    linked = free.linked(LinkingConstants(1.7, -0.4))
    np.testing.assert_allclose(item_fit(responses, linked).s_x2, item_fit(responses, free).s_x2)
    assert model_fit(responses, linked).m2 == pytest.approx(model_fit(responses, free).m2, rel=1e-6)
    assert reliability(linked).marginal == pytest.approx(reliability(free).marginal)


@pytest.mark.parametrize("statistic", [item_fit, model_fit])
def test_answers_missing_by_design_are_refused_with_the_reason(statistic: object) -> None:
    responses = simulate(34, 300, 20, answers_each=15).responses
    with pytest.raises(DataError, match="of 6000 pairs 1500 have none and 0 have several"):
        statistic(responses, calibrate(responses))  # type: ignore[operator]  # either function


def test_m2_of_an_anchored_fit_is_refused() -> None:
    simulated = simulate(35, 500, 8)
    anchors = simulated.items.select(np.arange(8) < 3)
    with pytest.raises(DataError, match="anchors"):
        model_fit(simulated.responses, calibrate(simulated.responses, anchors=anchors))


def test_m2_of_very_many_items_is_refused() -> None:
    responses = simulate(36, 300, 101).responses
    with pytest.raises(DataError, match="M2 of 101 items"):
        model_fit(responses, calibrate(responses))


def test_mean_squares_are_one_when_the_model_holds_and_more_for_noise() -> None:
    simulated = simulate(37, 4_000, 40, answers_each=25)
    noise = pl.Series(np.random.default_rng(1).random(len(simulated.frame)) < 0.25)
    noisy = (pl.col("item_id") == "i007") & noise
    frame = simulated.frame.with_columns(correct=pl.col("correct") ^ noisy)
    responses = Responses.from_frame(frame)
    found = mean_squares(responses, calibrate(simulated.responses))
    sound = np.array([item_id != "i007" for item_id in found.item_ids])
    np.testing.assert_allclose(found.infit[sound], 1, atol=0.06)
    np.testing.assert_allclose(found.outfit[sound], 1, atol=0.15)
    assert found.infit[~sound][0] > 1.1
    assert found.outfit[~sound][0] > found.infit[~sound][0]
    assert found.n.sum() == len(responses)


def test_infit_orders_items_by_discrimination_under_a_rasch_model() -> None:
    simulated = simulate(42, 1_500, 15, sd_log_a=0.5)
    found = mean_squares(simulated.responses, calibrate(simulated.responses, model="Rasch"))
    assert np.corrcoef(found.infit, simulated.items.a)[0, 1] < -0.85


def test_classical_statistics_are_those_of_the_full_table() -> None:
    simulated = simulate(38, 200, 6)
    wide = simulated.frame.pivot(on="item_id", index="user_id", values="correct").sort("user_id")
    found = classical_statistics(simulated.responses)
    table = wide.select(found.item_ids).cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(found.p_value, table.mean(axis=0))
    np.testing.assert_array_equal(found.n, 200)
    for i, correlation in enumerate(found.point_biserial):
        rest = np.delete(table, i, axis=1).sum(axis=1)
        assert correlation == pytest.approx(np.corrcoef(table[:, i], rest)[0, 1])


def test_an_item_that_everybody_gets_right_has_no_correlation() -> None:
    frame = simulate(39, 100, 5).frame.with_columns(correct=pl.col("correct") | (pl.col("item_id") == "i002"))
    found = classical_statistics(Responses.from_frame(frame))
    assert found.p_value[2] == 1
    assert np.isnan(found.point_biserial[2])


def test_reliability_is_the_squared_correlation_with_the_truth() -> None:
    simulated = simulate(40, 4_000, 25)
    fit = calibrate(simulated.responses)
    truth = np.corrcoef(fit.abilities.theta, simulated.theta)[0, 1] ** 2
    found = reliability(fit)
    assert found.empirical == pytest.approx(truth, abs=0.02)
    assert found.marginal == pytest.approx(truth, abs=0.03)


def test_information_of_the_test_gives_the_error_of_ability() -> None:
    simulated = simulate(41, 10, 60)
    assert test_information(simulated.items, np.zeros(1))[0] == pytest.approx(
        sum(a**2 * p * (1 - p) for a, p in _at_zero(simulated.items.a, simulated.items.b))
    )


def _at_zero(a: np.ndarray, b: np.ndarray) -> list[tuple[float, float]]:
    return [(float(x), float(1 / (1 + np.exp(x * y)))) for x, y in zip(a, b, strict=True)]
