"""Abilities of learners from their answers: EAP on a grid, and roots of the score function."""

from math import exp, isfinite, sqrt

import numpy as np

from seedtest.irt.kernels.cache import compiled, compiled_exactly
from seedtest.irt.kernels.counting import sort_rows
from seedtest.irt.kernels.estimation import normalise, posterior_of

MAP, ML, WLE = 0, 1, 2

LOST = 1e-20
"""Share of the posterior's peak that sums in double precision lose."""

FIRST_STEP = 0.25
"""How far from the EAP the search for a bracket starts (logits); the distance doubles."""

TOLERANCE = 1e-10
MAX_STEPS = 200


@compiled
def eap(start, code, rows, table, nodes, log_weights, theta, se):
    """Fill mean and SD of the posterior of the rows given; rows without an answer are left as they are."""
    posterior = np.empty(nodes.size)
    for at in range(rows.size):
        row = rows[at]
        if start[row] == start[row + 1]:
            continue
        posterior_of(start, code, row, table, log_weights, posterior)
        theta[row], se[row] = moments(posterior, nodes)


@compiled
def moments(posterior, nodes):
    """Mean and SD of a distribution over the nodes."""
    mean = 0.0
    for k in range(nodes.size):
        mean += posterior[k] * nodes[k]
    variance = 0.0
    for k in range(nodes.size):
        variance += posterior[k] * (nodes[k] - mean) ** 2
    return mean, sqrt(variance)


@compiled
def eap_finely(start, code, rows, coarse, fine, finer, theta, se):
    """Do what `eap` does on a finer grid, within the nodes of the coarse one that carry the posterior.

    `coarse` and `fine` are table, nodes and log weights of both grids; every `finer`-th node of the fine one
    is one of the coarse one. The fine table has the items that these rows answered; `fine`'s last part is
    each code's place in it.
    """
    table, nodes, log_weights = coarse
    fine_table, fine_nodes, fine_weights, place = fine
    n_nodes = nodes.size
    density = np.empty(n_nodes)
    for at in range(rows.size):
        row = rows[at]
        posterior_of(start, code, row, table, log_weights, density)
        first, last = 0, n_nodes - 1
        peak = density.max()
        while density[first] < LOST * peak:
            first += 1
        while density[last] < LOST * peak:
            last -= 1
        low, high = max(first - 1, 0) * finer, min(last + 1, n_nodes - 1) * finer + 1
        posterior = fine_weights[low:high].copy()
        for j in range(start[row], start[row + 1]):
            answered = fine_table[place[code[j]], low:high]
            for k in range(posterior.size):
                posterior[k] += answered[k]
        normalise(posterior)
        theta[row], se[row] = moments(posterior, fine_nodes[low:high])


@compiled
def row_of_one(item, correct, start, code):
    """Fill one sorted row of codes from answers to items ≥ 0."""
    n = 0
    for j in range(item.size):
        if item[j] >= 0:
            code[n] = 2 * item[j] + correct[j]
            n += 1
    start[0], start[1] = 0, n
    sort_rows(start, code, 0, 1)


@compiled_exactly
def point_estimates(start, code, first, last, items, prior, bounds, method, theta, se):
    """Replace the EAPs in `theta` by MAP, ML or WLE estimates of the rows `first` … `last` − 1.

    `items` holds a, b and c, (n_items, 3); `prior` mean and precision; `bounds` the range of θ.
    """
    low, high = bounds
    for row in range(first, last):
        if start[row] == start[row + 1]:
            continue
        answers = code[start[row] : start[row + 1]]
        at = min(max(theta[row], low), high)
        theta[row] = _root(answers, items, prior, method, at, low, high)
        information = score_and_information(answers, items, prior, method, theta[row])[1]
        se[row] = 1 / sqrt(information)


@compiled_exactly
def _root(answers, items, prior, method, at, low, high):
    """Where the score function falls through 0, nearest uphill of `at`; a bound if it does not."""
    here = score_and_information(answers, items, prior, method, at)[0]
    if not isfinite(here) or here == 0:
        return at
    direction, step = (1.0, FIRST_STEP) if here > 0 else (-1.0, FIRST_STEP)
    end = high if here > 0 else low
    other, there = at, here
    while there * here > 0:
        if other == end:
            return end
        at, here = other, there
        other = min(max(other + direction * step, low), high)
        there = score_and_information(answers, items, prior, method, other)[0]
        step *= 2
    return _bisected(answers, items, prior, method, at, here, other, there)


@compiled_exactly
def _bisected(answers, items, prior, method, x0, f0, x1, f1):
    """Illinois variant of the false position (Dowell & Jarratt, 1971)."""
    for _ in range(MAX_STEPS):
        if f1 == 0 or abs(x1 - x0) < TOLERANCE:
            break
        x = x1 - f1 * (x1 - x0) / (f1 - f0)
        f = score_and_information(answers, items, prior, method, x)[0]
        if abs(x - x1) < TOLERANCE:
            return x
        if f * f1 < 0:
            x0, f0 = x1, f1
        else:
            f0 *= 0.5
        x1, f1 = x, f
    return x1


@compiled_exactly
def score_and_information(answers, items, prior, method, theta):
    """Slope of the objective and information at θ.

    ML: l'(θ); MAP: l' − (θ − μ)/σ²; WLE (Warm, 1989): l' + J/(2I), J = Σ P'P''/(PQ). The information is
    Fisher's, with 1/σ² added for MAP.
    """
    slope = information = bias = 0.0
    for j in range(answers.size):
        i = answers[j] >> 1
        a, b, c = items[i]
        z = a * (theta - b)
        small = exp(-abs(z))
        s = 1 / (1 + small) if z >= 0 else small / (1 + small)
        rest = small / (1 + small) if z >= 0 else 1 / (1 + small)
        p = c + (1 - c) * s
        ratio = s / p if c > 0 else 1.0
        slope += a * (ratio * (1 - c) * rest if answers[j] & 1 else -s)
        fisher = a * a * (1 - c) * rest * s * ratio
        information += fisher
        bias += a * fisher * (rest - s)
    if method == WLE and information > 0:
        slope += bias / (2 * information)
    if method == MAP:
        slope -= (theta - prior[0]) * prior[1]
        information += prior[1]
    return slope, information
