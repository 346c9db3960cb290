"""Standard errors: mirt's on dense data, the blocks' on sparse data, and their label."""

from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seedtest.irt import ItemPriors, Prior, Responses, calibrate
from seedtest.irt.design import Wishes
from seedtest.irt.em import EmFit, State, Stopping, fit, log_prior
from seedtest.irt.parameters import FloatArray
from seedtest.irt.quadrature import normal_grid
from seedtest.irt.rows import item_counts
from seedtest.irt.standard_errors import ErrorKind, item_covariance, parameter_errors
from seedtest.irt.sweep import Sweep
from tests.irt.simulation import simulate

GUESSING = ItemPriors(log_a=None, b=None, c=Prior(-1.4, 0.7))
"""Without it the likelihood of a small 3PL is flat."""


def swept(responses: Responses, model: str = "2PL") -> tuple[Sweep, EmFit]:
    wishes = Wishes.checked(model, None, None, None, GUESSING, free_variance=True)
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
