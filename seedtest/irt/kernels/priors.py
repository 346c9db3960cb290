"""Log densities of the priors on items, and their derivatives."""

from math import exp, log, log1p

import numpy as np

from seedtest.irt.kernels.cache import compiled_exactly


@compiled_exactly
def add_prior(point, c, prior, gradient, information):
    """Return the log prior up to a constant, and add its derivatives; curvatures kept non-negative.

    `prior`: mean and precision of log a, of b, of logit c; α − 1 and β − 1 of c. A lognormal
    density of a, a normal one of b = −d/a, a normal one of logit c or a beta density of c.
    """
    a, d, g = point
    value = 0.0
    if prior[1] > 0:
        if a <= 0:
            return -np.inf
        deviation = log(a) - prior[0]
        value -= 0.5 * prior[1] * deviation * deviation + log(a)
        gradient[0] -= (prior[1] * deviation + 1) / a
        information[0, 0] += prior[1] / (a * a)
    if prior[3] > 0:
        if a == 0:
            return -np.inf
        deviation = -d / a - prior[2]
        by_a, by_d = d / (a * a), -1 / a
        value -= 0.5 * prior[3] * deviation * deviation
        gradient[0] -= prior[3] * deviation * by_a
        gradient[1] -= prior[3] * deviation * by_d
        information[0, 0] += prior[3] * by_a * by_a
        information[0, 1] += prior[3] * by_a * by_d
        information[1, 1] += prior[3] * by_d * by_d
    if prior[5] > 0:
        deviation = g - prior[4]
        value -= 0.5 * prior[5] * deviation * deviation
        gradient[2] -= prior[5] * deviation
        information[2, 2] += prior[5]
    if prior[6] != 0 or prior[7] != 0:
        value += prior[6] * log(c) + prior[7] * log1p(-c)
        gradient[2] += prior[6] * (1 - c) - prior[7] * c
        information[2, 2] += max(prior[6] + prior[7], 0.0) * c * (1 - c)
    return value


@compiled_exactly
def log_priors(params, priors, out):
    """Log prior of each item up to a constant, (n_items,)."""
    gradient, information = np.empty(3), np.empty((3, 3))
    for i in range(params.shape[0]):
        g = params[i, 2]
        c = 1 / (1 + exp(-g)) if g > -np.inf else 0.0
        out[i] = add_prior(params[i], c, priors[i], gradient, information)


@compiled_exactly
def prior_curvatures(params, priors, out):
    """Add minus the second derivatives of the log priors to each item's upper triangle, (n_items, 3, 3).

    All of them, unlike the curvatures of `add_prior`, which leave out what may be negative to keep a Newton
    step an ascent.
    """
    for i in range(params.shape[0]):
        a, d, g = params[i]
        prior = priors[i]
        if prior[1] > 0:
            out[i, 0, 0] += (prior[1] * (1 - log(a) + prior[0]) - 1) / (a * a)
        if prior[3] > 0:
            deviation = -d / a - prior[2]
            by_a, by_d = d / (a * a), -1 / a
            out[i, 0, 0] += prior[3] * (by_a * by_a - 2 * deviation * d / (a * a * a))
            out[i, 0, 1] += prior[3] * (by_a * by_d + deviation / (a * a))
            out[i, 1, 1] += prior[3] * by_d * by_d
        out[i, 2, 2] += prior[5]
        if prior[6] != 0 or prior[7] != 0:
            c = 1 / (1 + exp(-g))
            out[i, 2, 2] += (prior[6] + prior[7]) * c * (1 - c)
