"""The inner loops of EM: learners' posteriors scattered into tables, and the items' Newton steps."""

from math import exp, log, log1p

import numpy as np

from seedtest.irt.kernels.cache import compiled, compiled_exactly
from seedtest.irt.kernels.numerics import fast_exp, fast_log1p
from seedtest.irt.kernels.priors import add_prior

LARGEST_SLOPE = 10.0
"""Slopes are kept within ±10: beyond, an item is a step function and its likelihood flat."""

LOWEST_LOGIT_C = -8.0
HIGHEST_LOGIT_C = 3.0
"""c is kept within [0.0003, 0.95]."""

MAX_HALVINGS = 12
NEGLIGIBLE = 1e-18
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
        lowest, highest = support(posterior)
        counted = posterior[lowest:highest]
        for j in range(start[row], start[row + 1]):
            target = sums[code[j], lowest:highest]
            for k in range(counted.size):
                target[k] += counted[k]
    return loglik


@compiled
def support(posterior):
    """Return where a learner's posterior counts, from the first node to behind the last.

    Beyond, each node holds less than 1e-18 of the learner: with forty answers that is half of the grid, and
    sums of millions of such crumbs stay below the rounding of the sums they are kept from.
    """
    lowest, highest = 0, posterior.size
    while posterior[lowest] < NEGLIGIBLE:
        lowest += 1
    while posterior[highest - 1] < NEGLIGIBLE:
        highest -= 1
    return lowest, highest


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
    return normalise(posterior)


@compiled
def normalise(posterior):
    """Turn log densities into a distribution, (n_nodes,), and return the log of what they added up to."""
    n_nodes = posterior.size
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
    gradient[:] = 0.0
    information[:] = 0.0
    if c > 0:
        value = _with_guessing(wrong, right, nodes, point, c, gradient, information)
    else:
        value = _without_guessing(wrong, right, nodes, a, d, gradient, information)
    return value + add_prior(point, c, prior, gradient, information)


@compiled
def _without_guessing(wrong, right, nodes, a, d, gradient, information):
    """Return expected log-likelihood for c = 0, and fill its derivatives by a and d."""
    value = g0 = g1 = h00 = h01 = h11 = 0.0
    for k in range(nodes.size):
        x = nodes[k]
        n = wrong[k] + right[k]
        z = a * x + d
        small = fast_exp(-abs(z))
        larger = 1 / (1 + small)
        smaller = small * larger
        s = larger if z >= 0 else smaller
        value += n * (min(z, 0.0) - fast_log1p(small)) - wrong[k] * z
        residual = right[k] - n * s
        weight = n * larger * smaller
        g0 += residual * x
        g1 += residual
        h00 += weight * x * x
        h01 += weight * x
        h11 += weight
    gradient[0], gradient[1] = g0, g1
    information[0, 0], information[0, 1], information[1, 1] = h00, h01, h11
    return value


@compiled_exactly
def _with_guessing(wrong, right, nodes, point, c, gradient, information):
    """Return expected log-likelihood for c > 0, and fill its derivatives."""
    a, d = point[0], point[1]
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
        p = c + (1 - c) * s
        by_z, by_c = s / p, c / p
        value += right[k] * log(p) + wrong[k] * (log_rest + log_s - z)
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
