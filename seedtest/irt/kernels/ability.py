"""Mean and spread of ability in an M-step: absorbed by the items, or tied to anchors."""

from math import exp

import numpy as np

from seedtest.irt.kernels.cache import compiled_exactly
from seedtest.irt.kernels.estimation import MAX_HALVINGS, ROUNDING, objective
from seedtest.irt.kernels.priors import add_prior

MAX_STEPS = 20
TOLERANCE = 1e-9


@compiled_exactly
def expand(params, priors, moments, scale_too, out):
    """Find mean m and log sd λ of ability in the expanded model, by Newton's method.

    Maximises −N(λ + ½e^(−2λ)·E(x − m)²) + log prior of the items at (a·e^λ, d + a·m), the lines that the
    expanded model reduces to: without the last term parameter expansion would end beside the mode.

    `moments` holds N and the posteriors' mean and mean square; λ stays 0 unless `scale_too`.
    """
    m, scale = 0.0, 0.0
    value, g_m, g_s, h_mm, h_ms, h_ss = _expanded(params, priors, moments, m, scale)
    for _ in range(MAX_STEPS):
        if not scale_too:
            g_s, h_ms, h_ss = 0.0, 0.0, 1.0
        determinant = h_mm * h_ss - h_ms * h_ms
        step_m, step_s = g_m / h_mm, g_s / h_ss
        if determinant > ROUNDING * h_mm * h_ss:
            step_m = (h_ss * g_m - h_ms * g_s) / determinant
            step_s = (h_mm * g_s - h_ms * g_m) / determinant
        accepted = False
        for halving in range(MAX_HALVINGS):
            size = 0.5**halving
            trial = _expanded(params, priors, moments, m + size * step_m, scale + size * step_s)
            if trial[0] >= value - ROUNDING * abs(value):
                accepted = True
                m, scale = m + size * step_m, scale + size * step_s
                value, g_m, g_s, h_mm, h_ms, h_ss = trial
                break
        if not accepted or max(abs(step_m), abs(step_s)) < TOLERANCE:
            break
    out[0], out[1] = m, scale


@compiled_exactly
def _expanded(params, priors, moments, m, scale):
    """Objective of `expand`, its gradient and minus its second derivative by m and λ."""
    n, mean, square = moments[0], moments[1], moments[2]
    stretch = exp(scale)
    precision = exp(-2 * scale)
    spread = square - 2 * m * mean + m * m
    value = -n * (scale + 0.5 * precision * spread)
    g_m, g_s = n * precision * (mean - m), n * (precision * spread - 1)
    h_mm, h_ms, h_ss = n * precision, 2 * n * precision * (mean - m), 2 * n * precision * spread
    point, gradient, information = np.empty(3), np.empty(3), np.empty((3, 3))
    for i in range(params.shape[0]):
        if priors[i, 1] == 0 and priors[i, 3] == 0:
            continue
        a = params[i, 0]
        point[0], point[1], point[2] = a * stretch, params[i, 1] + a * m, params[i, 2]
        gradient[:] = 0.0
        information[:] = 0.0
        value += add_prior(point, 0.5, priors[i], gradient, information)
        g_m += gradient[1] * a
        g_s += gradient[0] * point[0]
        h_mm += information[1, 1] * a * a
        h_ms += information[0, 1] * a * point[0]
        h_ss += information[0, 0] * point[0] * point[0]
    return value, g_m, g_s, h_mm, h_ms, h_ss


@compiled_exactly
def tie(sums, nodes, params, standard, is_anchor, is_free, priors, bounds, found):
    """Find mean and log sd of ability that the anchors' expected answers point to, by Newton's method.

    On standardised ability an anchor's line is (a·sd, d + a·mean). The other items' lines there,
    `standard`, are held, so that only their priors have a say, but for slopes that are held
    as they are. `found` holds the start and takes the result.
    """
    mean, scale = found[0], found[1]
    value, g_m, g_s, h_mm, h_ms, h_ss = _tied(
        sums, nodes, params, standard, is_anchor, is_free, priors, mean, scale
    )
    for _ in range(MAX_STEPS):
        determinant = h_mm * h_ss - h_ms * h_ms
        if determinant > ROUNDING * h_mm * h_ss:
            step_m = (h_ss * g_m - h_ms * g_s) / determinant
            step_s = (h_mm * g_s - h_ms * g_m) / determinant
        else:
            step_m, step_s = g_m / (h_mm + ROUNDING), 0.0
        accepted = False
        for halving in range(MAX_HALVINGS):
            size = 0.5**halving
            new_scale = min(max(scale + size * step_s, bounds[0]), bounds[1])
            trial = _tied(
                sums, nodes, params, standard, is_anchor, is_free, priors, mean + size * step_m, new_scale
            )
            if trial[0] >= value - ROUNDING * abs(value):
                accepted = True
                mean, scale = mean + size * step_m, new_scale
                value, g_m, g_s, h_mm, h_ms, h_ss = trial
                break
        if not accepted or max(abs(step_m), abs(step_s)) < TOLERANCE:
            break
    found[0], found[1] = mean, scale


@compiled_exactly
def _tied(sums, nodes, params, standard, is_anchor, is_free, priors, mean, scale):
    """Objective of `tie`, its gradient and information by mean and log sd."""
    sd = exp(scale)
    value = g_m = g_s = h_mm = h_ms = h_ss = 0.0
    none, point, gradient, information = np.zeros(8), np.empty(3), np.empty(3), np.empty((3, 3))
    for i in range(params.shape[0]):
        point[2] = params[i, 2]
        if is_anchor[i]:
            by_mean, by_scale = params[i, 0], params[i, 0] * sd
            point[0], point[1] = by_scale, params[i, 1] + by_mean * mean
            value += objective(sums[2 * i], sums[2 * i + 1], nodes, point, none, gradient, information)
            g_m += by_mean * gradient[1]
            g_s += by_scale * gradient[0]
            h_mm += by_mean * by_mean * information[1, 1]
            h_ms += by_mean * by_scale * information[0, 1]
            h_ss += by_scale * by_scale * information[0, 0]
        elif not is_free[i, 0]:
            by_scale = params[i, 0] * sd
            point[0], point[1] = by_scale, standard[i, 1]
            value += objective(sums[2 * i], sums[2 * i + 1], nodes, point, none, gradient, information)
            g_s += by_scale * gradient[0]
            h_ss += by_scale * by_scale * information[0, 0]
        elif priors[i, 1] > 0 or priors[i, 3] > 0:
            a = standard[i, 0] / sd
            point[0], point[1] = a, standard[i, 1] - a * mean
            gradient[:] = 0.0
            information[:] = 0.0
            value += add_prior(point, 0.5, priors[i], gradient, information)
            g_m -= a * gradient[1]
            g_s += a * (mean * gradient[1] - gradient[0])
            h_mm += a * a * information[1, 1]
            h_ms += a * a * (information[0, 1] - mean * information[1, 1])
            h_ss += (
                a * a * (information[0, 0] - 2 * mean * information[0, 1] + mean * mean * information[1, 1])
            )
    return value, g_m, g_s, h_mm, h_ms, h_ss
