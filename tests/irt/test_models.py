"""Rasch, 1PL, 2PL, 3PL and mixtures of them, with and without priors."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.special import betaln, expit, logit, logsumexp
from scipy.stats import norm

from seedtest.errors import CalibrationError
from seedtest.irt import (
    Beta,
    Calibration,
    ItemParameters,
    ItemPriors,
    Prior,
    Responses,
    calibrate,
    probability,
)
from seedtest.irt.parameters import FloatArray

N_USERS, N_ITEMS = 1500, 10
NODES = np.linspace(-6, 6, 61)


def guessed(seed: int = 3, n_users: int = N_USERS) -> tuple[ItemParameters, FloatArray, Responses]:
    """Every learner answers ten items, of which the last four can be guessed."""
    rng = np.random.default_rng(seed)
    items = ItemParameters.from_values(
        [f"i{number}" for number in range(N_ITEMS)],
        rng.lognormal(0.2, 0.2, N_ITEMS),
        np.linspace(-1.5, 1.5, N_ITEMS),
        np.where(np.arange(N_ITEMS) < 6, 0.0, 0.25),
    )
    right = rng.random((n_users, N_ITEMS)) < probability(items, rng.standard_normal(n_users)).T
    user, item = np.divmod(np.arange(right.size), N_ITEMS)
    ids = tuple(f"u{number:05}" for number in range(n_users))
    return (
        items,
        right.astype(np.float64),
        Responses.from_arrays(ids, items.item_ids, user, item, right.ravel()),
    )


TRUTH, RIGHTS, RESPONSES = guessed()
MIXTURE = {f"i{number}": "3PL" for number in range(6, 10)} | {"i0": "Rasch", "i1": "Rasch"}


def plain_loglik(a: FloatArray, b: FloatArray, c: FloatArray, sd: float = 1.0) -> float:
    p = c[:, None] + (1 - c[:, None]) * expit(a[:, None] * (sd * NODES - b[:, None]))
    weights = norm.logpdf(NODES) - logsumexp(norm.logpdf(NODES))
    return float(logsumexp(RIGHTS @ np.log(p) + (1 - RIGHTS) @ np.log1p(-p) + weights, axis=1).sum())


def plain_log_prior(a: FloatArray, c: FloatArray, priors: ItemPriors) -> float:
    value = 0.0
    if priors.log_a is not None:
        value += float((norm.logpdf(np.log(a), priors.log_a.mean, priors.log_a.sd) - np.log(a)).sum())
    if isinstance(priors.c, Beta):
        density = (priors.c.alpha - 1) * np.log(c) + (priors.c.beta - 1) * np.log1p(-c)
        value += float((density - betaln(priors.c.alpha, priors.c.beta)).sum())
    elif priors.c is not None:
        value += float(norm.logpdf(logit(c), priors.c.mean, priors.c.sd).sum())
    return value


@pytest.mark.parametrize("c", [Prior(-1.4, 0.5), Beta(5, 17)], ids=["logit-normal", "beta"])
def test_a_mixture_with_priors_is_at_its_maximum(c: Prior | Beta) -> None:
    priors = ItemPriors(log_a=Prior(0.0, 0.5), b=None, c=c)
    fit = calibrate(RESPONSES, item_models=MIXTURE, item_priors=priors, tolerance=1e-7)
    three = np.array([model == "3PL" for model in fit.item_models])
    free = np.array([model != "Rasch" for model in fit.item_models])

    def unpacked(point: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        a, c_all = np.ones(N_ITEMS), np.zeros(N_ITEMS)
        a[free] = np.exp(point[:8])
        c_all[three] = expit(point[18:])
        return a, point[8:18], c_all

    def loss(point: FloatArray) -> float:
        a, b, c_all = unpacked(point)
        return -plain_loglik(a, b, c_all) - plain_log_prior(a[free], c_all[three], priors)

    items = fit.items
    ours = np.concatenate([np.log(items.a[free]), items.b, logit(items.c[three])])
    assert -loss(ours) == pytest.approx(fit.loglik + fit.log_prior, abs=1e-6)
    best = minimize(loss, ours, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-6})
    assert -best.fun - (fit.loglik + fit.log_prior) < 1e-4
    np.testing.assert_allclose(items.b, unpacked(best.x)[1], atol=2e-3)


def test_each_item_keeps_to_its_model() -> None:
    fit = calibrate(RESPONSES, item_models=MIXTURE)
    assert fit.item_models == ("Rasch", "Rasch", "2PL", "2PL", "2PL", "2PL", "3PL", "3PL", "3PL", "3PL")
    assert fit.items.a[:2].tolist() == [1, 1]
    assert not fit.items.c[:6].any()
    assert (fit.items.c[6:] > 0.02).all()
    assert fit.n_parameters == 2 * 1 + 4 * 2 + 4 * 3
    assert np.isnan(fit.items.se_a[:2]).all()
    assert np.isfinite(fit.items.se_a[2:]).all()
    assert np.isfinite(fit.items.se_b).all()
    assert np.isnan(fit.items.se_c[:6]).all()
    assert np.isfinite(fit.items.se_c[6:]).all()


def test_3pl_items_are_recovered_with_the_default_priors() -> None:
    truth, _, responses = guessed(seed=8, n_users=6000)
    fit = calibrate(responses, item_models={f"i{number}": "3PL" for number in range(6, 10)})
    three = truth.c > 0
    assert (np.abs(fit.items.b - truth.b) < 3 * fit.items.se_b).all()
    assert (np.abs(fit.items.c - truth.c) < 3 * fit.items.se_c)[three].all()
    np.testing.assert_allclose(fit.items.c, truth.c, atol=0.15)


def test_3pl_standard_errors_are_those_of_each_items_block() -> None:
    priors = ItemPriors(log_a=None, b=None, c=Prior(-1.4, 0.3))
    fit = calibrate(RESPONSES, item_models=MIXTURE, item_priors=priors)
    at = 8
    here = np.array([fit.items.a[at], fit.items.b[at], fit.items.c[at]])

    def objective(point: FloatArray) -> float:
        a, b, c = fit.items.a.copy(), fit.items.b.copy(), fit.items.c.copy()
        a[at], b[at], c[at] = point
        return plain_loglik(a, b, c) - 0.5 * float(((logit(c[at]) + 1.4) / 0.3) ** 2)

    covariance = np.linalg.inv(-hessian(objective, here))
    ours = [fit.items.se_a[at], fit.items.se_b[at], fit.items.se_c[at]]
    np.testing.assert_allclose(ours, np.sqrt(np.diag(covariance)), rtol=0.02)


def hessian(function: Callable[[FloatArray], float], at: FloatArray, step: float = 1e-3) -> FloatArray:
    eye = step * np.eye(at.size)
    return np.array(
        [
            [
                (function(at + i + j) - function(at + i - j) - function(at - i + j) + function(at - i - j))
                / (4 * step**2)
                for j in eye
            ]
            for i in eye
        ]
    )


@pytest.mark.parametrize("sd", [0.5, 2.0, 4.0])
def test_a_rasch_model_finds_the_spread_of_ability(sd: float) -> None:
    rng = np.random.default_rng(5)
    difficulties, theta = rng.normal(0, 2, 30), rng.normal(0, sd, 3000)
    right = rng.random((3000, 30)) < expit(theta[:, None] - difficulties)
    user, item = np.divmod(np.arange(right.size), 30)
    ids = tuple(f"u{number:05}" for number in range(3000)), tuple(f"i{number:02}" for number in range(30))
    responses = Responses.from_arrays(*ids, user, item, right.ravel())
    fit = calibrate(responses, model="Rasch")
    assert fit.converged
    assert fit.prior.mean == 0
    assert fit.prior.sd == pytest.approx(sd, rel=0.06)
    np.testing.assert_allclose(
        fit.items.b - fit.items.b.mean(), difficulties - difficulties.mean(), atol=0.45
    )
    fixed = calibrate(responses, model="Rasch", free_variance=False)
    assert fixed.prior.sd == 1
    assert fixed.loglik < fit.loglik


def test_1pl_is_the_rasch_model_in_units_of_ability() -> None:
    rasch, one = calibrate(RESPONSES, model="Rasch"), calibrate(RESPONSES, model="1PL")
    assert (one.loglik, one.n_parameters) == (rasch.loglik, rasch.n_parameters)
    assert one.prior == Prior(0.0, 1.0)
    np.testing.assert_allclose(one.items.a, rasch.prior.sd)
    np.testing.assert_allclose(one.items.b * rasch.prior.sd, rasch.items.b)
    np.testing.assert_allclose(one.abilities.theta * rasch.prior.sd, rasch.abilities.theta)
    assert set(one.item_models) == {"1PL"}


def test_richer_models_fit_no_worse() -> None:
    fits: list[Calibration] = [
        calibrate(RESPONSES, model=model, item_priors=None) for model in ("Rasch", "2PL")
    ]
    assert fits[0].loglik < fits[1].loglik
    assert [fit.n_parameters for fit in fits] == [11, 20]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"item_models": {"i0": "4PL"}}, "model '4PL' of item 'i0' is not supported"),
        ({"item_models": {"i0": "1PL"}}, "mixes with no other model"),
        ({"model": "1PL", "item_models": {"i0": "2PL"}}, "mixes with no other model"),
        ({"model": "1PL", "anchors": TRUTH}, "mixes with no other model"),
    ],
)
def test_models_that_do_not_go_together_are_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(CalibrationError, match=complaint):
        calibrate(RESPONSES, **options)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 1.0), (1.0, -1.0), (np.nan, 1.0)])
def test_a_beta_distribution_needs_positive_numbers(alpha: float, beta: float) -> None:
    with pytest.raises(CalibrationError, match="must be above 0"):
        Beta(alpha, beta)


def test_relabelling_items_moves_nothing() -> None:
    frame = pl.DataFrame(
        {"user_id": RESPONSES.user, "item_id": RESPONSES.item, "correct": RESPONSES.correct}
    ).with_columns(user_id=pl.format("u{}", "user_id"), item_id=pl.format("q{}", 9 - pl.col("item_id")))
    renamed = calibrate(Responses.from_frame(frame), model="3PL")
    original = calibrate(RESPONSES, model="3PL")
    np.testing.assert_allclose(renamed.items.b[::-1], original.items.b, atol=1e-4)
    np.testing.assert_allclose(renamed.items.c[::-1], original.items.c, atol=1e-4)
