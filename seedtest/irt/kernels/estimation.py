"""The inner loops of EM: learners' posteriors scattered into tables, and the items' Newton steps."""

from math import exp, log, log1p

import numpy as np

from seedtest.irt.kernels.cache import compiled, compiled_exactly
from seedtest.irt.kernels.numerics import fast_exp

LARGEST_SLOPE = 10.0
"""Slopes are kept within ±10: beyond, an item is a step function and its likelihood flat."""

LOWEST_LOGIT_C = -8.0
HIGHEST_LOGIT_C = 3.0
"""c is kept within [0.0003, 0.95]."""

MAX_HALVINGS = 12
ROUNDING = 1e-12
RIDGE = 1e-6


@compiled_exactly
def log_table(params, nodes, table, first, last):
    """Fill log Q and log P of the items `first` … `last` − 1, two rows an item, (2·n_items, n_nodes).

    `params` holds slope a, intercept d and logit c, (n_items, 3); −inf for c = 0.
    """
    for i in range(first, last):
        a, d, g = params[i]
        c, log_rest = 0.0, 0.0
        if g > -np.inf:
            c = 1 / (1 + exp(-g))
            log_rest = -max(g, 0.0) - log1p(exp(-abs(g)))
        for k in range(nodes.size):
            z = a * nodes[k] + d
            tail = log1p(exp(-abs(z)))
            table[2 * i, k] = log_rest - max(z, 0.0) - tail
            log_p = min(z, 0.0) - tail
            if c > 0:
                log_p = log(c + (1 - c) * exp(log_p))
            table[2 * i + 1, k] = log_p


@compiled
def add_posteriors(start, code, table, log_weights, sums, mass):
    """Add each learner's posterior, once an answer, to `sums`, (2·n_items, n_nodes), and to `mass`.

    Returns the learners' marginal log-likelihood.
    """
    n_nodes = table.shape[1]
    posterior = np.empty(n_nodes)
    loglik = 0.0
    for row in range(start.size - 1):
        if start[row] == start[row + 1]:
            continue
        loglik += posterior_of(start, code, row, table, log_weights, posterior)
        for k in range(n_nodes):
            mass[k] += posterior[k]
        for j in range(start[row], start[row + 1]):
            target = sums[code[j]]
            for k in range(n_nodes):
                target[k] += posterior[k]
    return loglik


@compiled
def posterior_of(start, code, row, table, log_weights, posterior):
    """Fill one learner's posterior, (n_nodes,), and return the log marginal likelihood.

    Four rows of the table are added at once: the sum then passes through memory a quarter as often.
    """
    n_nodes = posterior.size
    for k in range(n_nodes):
        posterior[k] = log_weights[k]
    j, end = start[row], start[row + 1]
    while j + 4 <= end:
        t0, t1, t2, t3 = table[code[j]], table[code[j + 1]], table[code[j + 2]], table[code[j + 3]]
        for k in range(n_nodes):
            posterior[k] += (t0[k] + t1[k]) + (t2[k] + t3[k])
        j += 4
    while j < end:
        t0 = table[code[j]]
        for k in range(n_nodes):
            posterior[k] += t0[k]
        j += 1
    peak = posterior[0]
    for k in range(n_nodes):
        peak = max(peak, posterior[k])
    total = 0.0
    for k in range(n_nodes):
        density = fast_exp(posterior[k] - peak)
        posterior[k] = density
        total += density
    scale = 1 / total
    for k in range(n_nodes):
        posterior[k] *= scale
    return peak + log(total)


@compiled
def merge_tables(tables, first, last):
    """Add the threads' tables into the first, in order, for the rows `first` … `last` − 1."""
    for t in range(1, tables.shape[0]):
        for i in range(first, last):
            for k in range(tables.shape[2]):
                tables[0, i, k] += tables[t, i, k]


@compiled_exactly
def maximise(sums, nodes, params, is_free, priors, limits, out, first, last):
    """Maximise each item's expected log-likelihood plus log prior over its free parameters.

    Scoring steps on (a, d, logit c) with the information given θ (for c = 0 that is Newton's method),
    halved until the objective does not fall.

    Parameters
    ----------
    sums
        Expected wrong and right answers at each node, two rows an item, (2·n_items, n_nodes).
    nodes
        Abilities the nodes stand for, (n_nodes,).
    params, is_free
        Where to start, and what is estimated, (n_items, 3).
    priors
        Priors as `priors.PriorTable` encodes them, (n_items, 8).
    limits
        Most steps, and the step (logits) at which to end.
    out
        The result, (n_items, 3).
    """
    max_steps, tolerance = int(limits[0]), limits[1]
    here, there, movable = np.empty(3), np.empty(3), np.empty(3, dtype=np.bool_)
    gradient, information, step = np.empty(3), np.empty((3, 3)), np.empty(3)
    for i in range(first, last):
        here[:] = params[i]
        wrong, right = sums[2 * i], sums[2 * i + 1]
        value = objective(wrong, right, nodes, here, priors[i], gradient, information)
        for _ in range(max_steps):
            # What stands at a bound and pushes against it stays, or it would hold the others up.
            movable[:] = is_free[i]
            movable[0] &= not (abs(here[0]) >= LARGEST_SLOPE and here[0] * gradient[0] > 0)
            movable[2] &= not (here[2] <= LOWEST_LOGIT_C and gradient[2] < 0)
            movable[2] &= not (here[2] >= HIGHEST_LOGIT_C and gradient[2] > 0)
            scoring_step(gradient, information, movable, step)
            accepted, new_value = False, value
            for halving in range(MAX_HALVINGS):
                size = 0.5**halving
                there[0] = min(max(here[0] + size * step[0], -LARGEST_SLOPE), LARGEST_SLOPE)
                there[1] = here[1] + size * step[1]
                there[2] = here[2]
                if is_free[i, 2]:
                    there[2] = min(max(here[2] + size * step[2], LOWEST_LOGIT_C), HIGHEST_LOGIT_C)
                if not is_free[i, 0]:
                    there[0] = here[0]
                new_value = objective(wrong, right, nodes, there, priors[i], gradient, information)
                if new_value >= value - ROUNDING * abs(value):
                    accepted = True
                    break
            if not accepted:
                break
            moved = max(abs(there[0] - here[0]), abs(there[1] - here[1]))
            if is_free[i, 2]:
                moved = max(moved, abs(there[2] - here[2]))
            here[:] = there
            value = new_value
            if moved < tolerance:
                break
        out[i] = here


@compiled_exactly
def objective(wrong, right, nodes, point, prior, gradient, information):
    """Return expected log-likelihood plus log prior at (a, d, logit c), and fill its derivatives.

    With s = logistic(z), P = c + (1 − c)s: ∂P/∂z / PQ = s/P and ∂P/∂logit c / PQ = c/P.
    """
    a, d, g = point
    c = 1 / (1 + exp(-g)) if g > -np.inf else 0.0
    log_rest = log1p(-c)
    value = g0 = g1 = g2 = 0.0
    h00 = h01 = h02 = h11 = h12 = h22 = 0.0
    for k in range(nodes.size):
        n = wrong[k] + right[k]
        if n == 0:
            continue
        x = nodes[k]
        z = a * x + d
        small = exp(-abs(z))
        s = 1 / (1 + small) if z >= 0 else small / (1 + small)
        log_s = min(z, 0.0) - log1p(small)
        p, log_p, by_z, by_c = s, log_s, 1.0, 0.0
        if c > 0:
            p = c + (1 - c) * s
            log_p = log(p)
            by_z, by_c = s / p, c / p
        value += right[k] * log_p + wrong[k] * (log_rest + log_s - z)
        residual = right[k] - n * p
        q = (1 - c) * (1 - s if z < 0 else small / (1 + small))
        weight = n * p * q
        g0 += residual * by_z * x
        g1 += residual * by_z
        g2 += residual * by_c
        zz, zc = weight * by_z * by_z, weight * by_z * by_c
        h00 += zz * x * x
        h01 += zz * x
        h11 += zz
        h02 += zc * x
        h12 += zc
        h22 += weight * by_c * by_c
    gradient[0], gradient[1], gradient[2] = g0, g1, g2
    information[0, 0], information[0, 1], information[0, 2] = h00, h01, h02
    information[1, 1], information[1, 2], information[2, 2] = h11, h12, h22
    return value + add_prior(point, c, prior, gradient, information)


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
def scoring_step(gradient, information, is_free, step):
    """Solve information · step = gradient over the free parameters; a ridge where it is singular."""
    trace = information[0, 0] + information[1, 1] + information[2, 2]
    lift = 0.0
    for _ in range(12):
        if _solve(gradient, information, is_free, lift, step):
            return
        lift = max(10 * lift, RIDGE * trace + ROUNDING)
    step[:] = 0.0


@compiled_exactly
def _solve(gradient, information, is_free, lift, step):
    """Cholesky of the free part plus `lift`; false where it is not safely positive definite."""
    lower = np.zeros((3, 3))
    for i in range(3):
        for j in range(i + 1):
            value = information[j, i] if is_free[i] and is_free[j] else 0.0
            if i == j:
                value = value + lift if is_free[i] else 1.0
            scale = value
            for m in range(j):
                value -= lower[i, m] * lower[j, m]
            if i == j:
                if not value > ROUNDING * scale:
                    return False
                lower[i, i] = np.sqrt(value)
            else:
                lower[i, j] = value / lower[j, j]
    for i in range(3):
        value = gradient[i] if is_free[i] else 0.0
        for m in range(i):
            value -= lower[i, m] * step[m]
        step[i] = value / lower[i, i]
    for i in range(2, -1, -1):
        value = step[i]
        for m in range(i + 1, 3):
            value -= lower[m, i] * step[m]
        step[i] = value / lower[i, i]
    return True


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
    """Information that the priors add to each item's upper triangle, (n_items, 3, 3)."""
    gradient = np.empty(3)
    for i in range(params.shape[0]):
        g = params[i, 2]
        c = 1 / (1 + exp(-g)) if g > -np.inf else 0.0
        add_prior(params[i], c, priors[i], gradient, out[i])
