"""EM finds what direct maximisation of a plainly written marginal likelihood finds."""

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from seedtest.irt import THIN_ITEM_PRIORS, Calibration, ItemPriors, calibrate
from seedtest.irt.parameters import FloatArray
from tests.irt.simulation import simulate

N_ITEMS = 4
SAMPLE = simulate(seed=5, n_users=300, n_items=N_ITEMS)
NODES = [-6 + 0.2 * k for k in range(61)]


def patterns() -> dict[tuple[bool, ...], int]:
    """How often each pattern of answers occurs."""
    counts: dict[tuple[bool, ...], int] = {}
    for _, answers in SAMPLE.frame.sort("user_id", "item_id").group_by("user_id", maintain_order=True):
        pattern = tuple(answers["correct"])
        counts[pattern] = counts.get(pattern, 0) + 1
    return counts


PATTERNS = patterns()


def naive_loglik(a: FloatArray, b: FloatArray) -> float:
    density = [math.exp(-0.5 * x * x) for x in NODES]
    loglik = 0.0
    for pattern, count in PATTERNS.items():
        marginal = 0.0
        for x, weight in zip(NODES, density, strict=True):
            likelihood = weight / sum(density)
            for i, right in enumerate(pattern):
                p = 1 / (1 + math.exp(-a[i] * (x - b[i])))
                likelihood *= p if right else 1 - p
            marginal += likelihood
        loglik += count * math.log(marginal)
    return loglik


def naive_log_prior(a: FloatArray, b: FloatArray, priors: ItemPriors | None) -> float:
    if priors is None or priors.log_a is None or priors.b is None:
        return 0.0
    log_a = (np.log(a) - priors.log_a.mean) / priors.log_a.sd
    standard_b = (b - priors.b.mean) / priors.b.sd
    return float(-0.5 * (log_a @ log_a + standard_b @ standard_b) - np.log(a).sum())


def naive_fit(priors: ItemPriors | None) -> tuple[FloatArray, FloatArray]:
    def loss(point: FloatArray) -> float:
        a, b = np.exp(point[:N_ITEMS]), point[N_ITEMS:]
        return -naive_loglik(a, b) - naive_log_prior(a, b, priors)

    found = minimize(loss, np.zeros(2 * N_ITEMS), method="BFGS", options={"gtol": 1e-3})
    return np.exp(found.x[:N_ITEMS]), found.x[N_ITEMS:]


STRONG = ItemPriors(THIN_ITEM_PRIORS.log_a, THIN_ITEM_PRIORS.b, below_n=10_000)


@pytest.mark.parametrize("priors", [None, STRONG], ids=["likelihood alone", "with priors"])
def test_em_agrees_with_direct_maximisation(priors: ItemPriors | None) -> None:
    fit = calibrate(SAMPLE.responses, item_priors=priors)
    a, b = naive_fit(priors)
    np.testing.assert_allclose(fit.items.a, a, atol=1e-3)
    np.testing.assert_allclose(fit.items.b, b, atol=1e-3)
    assert fit.loglik == pytest.approx(naive_loglik(fit.items.a, fit.items.b), abs=1e-8)


def test_standard_errors_are_those_of_the_second_derivative_by_all_parameters() -> None:
    fit = calibrate(SAMPLE.responses, item_priors=None)
    variances = np.diag(np.linalg.inv(numerical_information(fit)))
    np.testing.assert_allclose(np.append(fit.items.se_a, fit.items.se_b), np.sqrt(variances), rtol=2e-3)


def numerical_information(fit: Calibration) -> FloatArray:
    """Minus the second derivative by all a and b, by differences."""

    def loglik(point: FloatArray) -> float:
        return naive_loglik(*np.split(point, 2))

    def gradient(point: FloatArray) -> FloatArray:
        return np.asarray(approx_fprime(point, loglik, 1e-4))

    at, step = np.append(fit.items.a, fit.items.b), 1e-3
    rows = [(gradient(at + step * e) - gradient(at - step * e)) / (2 * step) for e in np.eye(at.size)]
    return -np.array(rows)
