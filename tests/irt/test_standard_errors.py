"""Standard errors: mirt's on dense data, the blocks' on sparse data, and their label."""

from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seedtest.errors import CalibrationError
from seedtest.irt import ItemPriors, Prior, Responses, calibrate
from seedtest.irt.design import Wishes
from seedtest.irt.em import EmFit, State, Stopping, fit, log_prior
from seedtest.irt.parameters import FloatArray
from seedtest.irt.priors import Beta
from seedtest.irt.quadrature import normal_grid
from seedtest.irt.rows import item_counts
from seedtest.irt.standard_errors import ErrorKind, item_covariance, parameter_errors
from seedtest.irt.sweep import Sweep
from tests.irt.simulation import simulate

GUESSING = ItemPriors(log_a=None, b=None, c=Prior(-1.4, 0.7))
"""Without it the likelihood of a small 3PL is flat."""


ALL_PRIORS = {
    "2PL": ItemPriors(log_a=Prior(0.3, 0.4), b=Prior(0.5, 0.6)),
    "3PL": ItemPriors(log_a=Prior(0.3, 0.4), b=Prior(0.5, 0.6), c=Prior(-1.4, 0.7)),
    "3PL, beta": ItemPriors(log_a=Prior(-0.2, 0.3), b=None, c=Beta(5.0, 17.0)),
}
"""Strong ones, away from the estimates, so that every term of their curvature counts."""


def swept(responses: Responses, model: str = "2PL", priors: ItemPriors = GUESSING) -> tuple[Sweep, EmFit]:
    wishes = Wishes.checked(model, None, None, None, priors, free_variance=True)
    design = wishes.design(responses, item_counts(responses))
    sweep = Sweep(responses.blocks(1), responses.n_items, normal_grid(), 1)
    return sweep, fit(sweep, design, Stopping(500, 1e-8))


def test_errors_of_slope_and_intercept_are_mirts_on_dense_data(shared: Path) -> None:
    folder = shared / "reference" / "irt" / "dense_500x150_2pl"
    frame = pl.read_parquet(folder / "responses.parquet")
    responses = Responses.from_frame(frame.with_columns(pl.col("user_id", "item_id").cast(pl.String)))
    reference = pl.read_csv(folder / "mirt_slope_intercept_se.csv", schema_overrides={"item_id": pl.String})
    ordered = pl.DataFrame({"item_id": list(responses.item_ids)}).join(
        reference, on="item_id", how="left", maintain_order="left"
    )
    sweep, em = swept(responses)
    covariance = item_covariance(sweep, em)
    errors = parameter_errors(covariance, em)
    assert covariance.kind is ErrorKind.FULL
    np.testing.assert_allclose(errors.a, ordered["se_a"], rtol=0.02)
    np.testing.assert_allclose(errors.d, ordered["se_d"], rtol=0.02)


def objective(sweep: Sweep, em: EmFit, point: FloatArray) -> float:
    """Log-likelihood plus log prior at other values of the free parameters, the log sd of ability last."""
    params = em.state.params.copy()
    params[em.design.is_free] = point[:-1]
    state = State(params, 0.0, float(np.exp(point[-1])))
    return sweep.expect(state.on_grid()).loglik + log_prior(params, em.design.priors)


def curvature(sweep: Sweep, em: EmFit, step: float = 2e-3) -> FloatArray:
    """Minus the second derivatives of the objective, by differences."""
    here = np.append(em.state.params[em.design.is_free], np.log(em.state.sd))
    axes = step * np.eye(here.size)[: em.design.n_parameters]
    found = np.zeros((len(axes), len(axes)))
    for i, j in np.ndindex(found.shape):
        for sign, other in product((1, -1), repeat=2):
            found[i, j] -= sign * other * objective(sweep, em, here + sign * axes[i] + other * axes[j])
    sweep.expect(em.state.on_grid())
    return found / (4 * step**2)


def answered(case: str) -> pl.DataFrame:
    frame = simulate(3, 1_500, 6, sd_log_a=0.2).frame
    rng = np.random.default_rng(1)
    if case == "repeated":
        again = frame.filter(pl.Series(rng.random(len(frame)) < 0.3))
        return pl.concat(
            [frame, again.with_columns(correct=pl.col("correct").shuffle(1) | pl.col("correct"))]
        )
    if case == "3PL":
        return frame.with_columns(correct=pl.col("correct") | pl.Series(rng.random(len(frame)) < 0.2))
    return frame


@pytest.mark.parametrize("case", ["Rasch", "2PL", "3PL", "repeated"])
def test_errors_are_those_of_the_curvature_of_the_log_likelihood(case: str) -> None:
    sweep, em = swept(Responses.from_frame(answered(case)), "2PL" if case == "repeated" else case)
    expected = np.linalg.inv(curvature(sweep, em))
    n_free = int(em.design.is_free.sum())
    found = np.einsum("ijj->ij", item_covariance(sweep, em).blocks)[em.design.is_free]
    np.testing.assert_allclose(np.sqrt(found), np.sqrt(np.diag(expected)[:n_free]), rtol=2e-3)


@pytest.mark.parametrize("case", ALL_PRIORS)
def test_errors_under_priors_are_those_of_the_whole_curvature(case: str) -> None:
    responses = Responses.from_frame(answered(case[:3]).head(300 * 6))
    sweep, em = swept(responses, case[:3], ALL_PRIORS[case])
    expected = np.linalg.inv(curvature(sweep, em))
    found = np.einsum("ijj->ij", item_covariance(sweep, em).blocks)[em.design.is_free]
    np.testing.assert_allclose(np.sqrt(found), np.sqrt(np.diag(expected)[: found.size]), rtol=2e-3)


ONE_PL = simulate(11, 400, 5, sd_log_a=0.0)


def naive_one_pl(point: FloatArray) -> float:
    """Log-likelihood of a 1PL at a common slope, first, and difficulties, written plainly."""
    x = np.linspace(-6, 6, 61)
    p = 1 / (1 + np.exp(-point[0] * (x[:, None] - point[1:])))
    weights = np.exp(-0.5 * x**2) / np.exp(-0.5 * x**2).sum()
    wide = ONE_PL.frame.sort("user_id", "item_id")["correct"].to_numpy().reshape(-1, point.size - 1)
    return float(sum(np.log(weights @ np.where(answers, p, 1 - p).prod(axis=1)) for answers in wide))


def second_derivatives(at: FloatArray, step: float = 2e-3) -> FloatArray:
    axes = step * np.eye(at.size)
    found = np.zeros((at.size, at.size))
    for i, j in np.ndindex(found.shape):
        for sign, other in product((1, -1), repeat=2):
            found[i, j] += sign * other * naive_one_pl(at + sign * axes[i] + other * axes[j])
    return found / (4 * step**2)


@pytest.fixture(scope="module")
def one_pl_information() -> FloatArray:
    """Of the common slope and the difficulties at the maximum."""
    fit = calibrate(ONE_PL.responses, model="1PL", tolerance=1e-9)
    return -second_derivatives(np.append(fit.items.a[0], fit.items.b))


def test_a_common_slope_has_the_error_of_the_naive_likelihood(one_pl_information: FloatArray) -> None:
    fit = calibrate(ONE_PL.responses, model="1PL", tolerance=1e-9)
    expected = np.sqrt(np.diag(np.linalg.inv(one_pl_information)))
    assert fit.error_kind is ErrorKind.FULL
    np.testing.assert_allclose(fit.items.se_a, expected[0], rtol=2e-3)
    np.testing.assert_allclose(fit.items.se_b, expected[1:], rtol=2e-3)


def test_blocks_of_a_1pl_leave_out_what_is_between_two_items(one_pl_information: FloatArray) -> None:
    fit = calibrate(ONE_PL.responses, model="1PL", tolerance=1e-9, errors="block")
    a, b = fit.items.a[0], fit.items.b
    # ∂(a, b)/∂(log a, d) with b = −d/a: the items are apart in log a and the intercepts d.
    by_lines = np.eye(b.size + 1)
    by_lines[0, 0] = a
    by_lines[1:, 0], by_lines[1:, 1:] = -b, -np.eye(b.size) / a
    information = by_lines.T @ one_pl_information @ by_lines
    blocks = np.diag(np.diag(information))
    blocks[0], blocks[:, 0] = information[0], information[:, 0]
    expected = np.sqrt(np.diag(by_lines @ np.linalg.inv(blocks) @ by_lines.T))
    assert fit.error_kind is ErrorKind.BLOCK
    np.testing.assert_allclose(fit.items.se_a, expected[0], rtol=2e-3)
    np.testing.assert_allclose(fit.items.se_b, expected[1:], rtol=2e-3)


def test_blocks_of_a_sparse_1pl_are_near_the_whole() -> None:
    responses = simulate(8, 3_000, 300, answers_each=20, sd_log_a=0.0).responses
    chosen, full = (calibrate(responses, model="1PL", errors=kind) for kind in (None, ErrorKind.FULL))
    assert (chosen.error_kind, full.error_kind) == (ErrorKind.BLOCK, ErrorKind.FULL)
    np.testing.assert_allclose(chosen.items.se_a, full.items.se_a, rtol=0.05)
    np.testing.assert_allclose(chosen.items.se_b, full.items.se_b, rtol=0.1)


def test_a_slope_that_is_held_has_no_error() -> None:
    fit = calibrate(ONE_PL.responses, model="1PL", free_variance=False)
    assert np.isnan(fit.items.se_a).all()
    assert (fit.items.se_b > 0).all()


def test_without_errors_wished_for_there_are_none_and_the_fit_is_the_same() -> None:
    responses = simulate(1, 300, 10).responses
    fit, bare = calibrate(responses), calibrate(responses, errors=ErrorKind.NONE)
    assert bare.error_kind is ErrorKind.NONE
    assert np.isnan([bare.items.se_a, bare.items.se_b, bare.items.se_c]).all()
    np.testing.assert_array_equal(bare.items.a, fit.items.a)
    assert bare.loglik == fit.loglik


@pytest.mark.parametrize("kind", ["exact", ErrorKind.UNKNOWN])
def test_other_kinds_of_errors_are_refused(kind: str) -> None:
    with pytest.raises(CalibrationError, match="choose full, block, none"):
        calibrate(ONE_PL.responses, errors=kind)


def test_blocks_are_enough_where_few_learners_share_an_item() -> None:
    sweep, em = swept(simulate(6, 3_000, 300, answers_each=20).responses)
    chosen, full = item_covariance(sweep, em), item_covariance(sweep, em, ErrorKind.FULL)
    assert (chosen.kind, full.kind) == (ErrorKind.BLOCK, ErrorKind.FULL)
    ratio = parameter_errors(chosen, em).d / parameter_errors(full, em).d
    assert np.median(ratio) == pytest.approx(1, abs=0.01)
    assert (ratio > 0.9).all()


def test_the_calibration_says_where_its_errors_come_from() -> None:
    assert calibrate(simulate(1, 300, 10).responses).error_kind is ErrorKind.FULL
    sparse = simulate(6, 2_000, 300, answers_each=20).responses
    assert calibrate(sparse).error_kind is ErrorKind.BLOCK
