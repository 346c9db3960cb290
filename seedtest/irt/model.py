"""The item response function and what follows from it."""

import numpy as np
from scipy.special import expit, log_expit

from seedtest.irt.parameters import FloatArray, ItemParameters


def probability(items: ItemParameters, theta: FloatArray) -> FloatArray:
    """P(correct | θ) = c + (1 − c)·logistic(a(θ − b)), (n_items, n_theta)."""
    c = items.c[:, None]
    return c + (1 - c) * expit(_logit(items, theta))


def log_probabilities(items: ItemParameters, theta: FloatArray) -> FloatArray:
    """Log P of a right answer above log Q of a wrong one, (2·n_items, n_theta).

    Computed from log logistic(±z), so that neither underflows where P is 0 or 1 in floating point.
    """
    z = _logit(items, theta)
    log_c = np.log(items.c, where=items.c > 0, out=np.full(len(items), -np.inf))[:, None]
    log_rest = np.log1p(-items.c)[:, None]
    return np.vstack([np.logaddexp(log_c, log_rest + log_expit(z)), log_rest + log_expit(-z)])


def information(items: ItemParameters, theta: FloatArray) -> FloatArray:
    """Fisher information about θ, (n_items, n_theta), in 1/logits².

    I = a²·(Q/P)·((P − c)/(1 − c))² (Lord, 1980), a²PQ for c = 0.
    """
    c, a = items.c[:, None], items.a[:, None]
    p_star = expit(_logit(items, theta))
    p = c + (1 - c) * p_star
    return np.asarray(a**2 * (1 - c) * (1 - p_star) * p_star**2 / p)


def _logit(items: ItemParameters, theta: FloatArray) -> FloatArray:
    return np.asarray(items.a[:, None] * (theta[None, :] - items.b[:, None]))
