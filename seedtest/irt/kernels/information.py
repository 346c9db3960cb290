"""Learners' part of the observed information: of each item alone, and of all parameters together."""

import numpy as np

from seedtest.irt.kernels.cache import compiled
from seedtest.irt.kernels.estimation import posterior_of
from seedtest.irt.kernels.products import add_squares

PAIRS = 6
"""(a, a), (a, d), (a, g), (d, d), (d, g), (g, g)."""

SMALLEST_NORM = 1e-10
"""A posterior on a few nodes has no further orthogonal polynomials than nodes."""

FEW_DEGREES, MOST_DEGREES = 6, 14
"""Degrees of polynomials tried for a learner, each two below a multiple of the rows multiplied at once."""

NEGLIGIBLE = 1e-8
"""Share of the first degree's squares below which a degree and all that follow are left out.

Standard errors then are within 1e-7 of those with all degrees, on tests of 5 to 200 items, sharp ones too.
"""

COLUMNS_AT_ONCE = 248
"""Columns of scores that are multiplied at a time: 400 rows of them fill 0.8 MB, a core's own cache."""


@compiled
def add_score_products(start, code, table, log_weights, nodes, by_z, by_c, has_c, out):
    """Add E[S]E[S]ᵀ of each learner's score S about each item, six products an item, (n_items, 6).

    Where a learner answered an item more than once, S is the sum over the answers, and what
    E[SSᵀ] has beyond the answers' own E[ssᵀ] is taken off.

    `by_z` and `by_c` hold the derivatives of log Q and log P by z = aθ + d and by logit c at the
    nodes, (2·n_items, n_nodes); `by_c` counts where `has_c`, (n_items,).
    """
    n_nodes = nodes.size
    posterior, moment = np.empty(n_nodes), np.empty(n_nodes)
    for row in range(start.size - 1):
        posterior_of(start, code, row, table, log_weights, posterior)
        for k in range(n_nodes):
            moment[k] = posterior[k] * nodes[k]
        j, end = start[row], start[row + 1]
        while j < end:
            item, first = code[j] >> 1, j
            while j < end and code[j] >> 1 == item:
                j += 1
            if j > first + 1:
                _add_repeats(code[first:j], posterior, nodes, by_z, by_c, out[item])
                continue
            score = by_z[code[first]]
            a = 0.0
            d = 0.0
            for k in range(n_nodes):
                a += moment[k] * score[k]
                d += posterior[k] * score[k]
            g = _mean(posterior, by_c[code[first]]) if has_c[item] else 0.0
            _add_outer(a, d, g, out[item])


@compiled
def _mean(posterior, values):
    mean = 0.0
    for k in range(posterior.size):
        mean += posterior[k] * values[k]
    return mean


@compiled
def _add_outer(a, d, g, out):
    out[0] += a * a
    out[1] += a * d
    out[2] += a * g
    out[3] += d * d
    out[4] += d * g
    out[5] += g * g


@compiled
def _add_repeats(answers, posterior, nodes, by_z, by_c, out):
    """Add what several answers of one learner to one item contribute."""
    of_z, of_c = np.zeros(nodes.size), np.zeros(nodes.size)
    for j in range(answers.size):
        of_z += by_z[answers[j]]
        of_c += by_c[answers[j]]
        _add_squares(posterior, nodes, by_z[answers[j]], by_c[answers[j]], 1.0, out)
    _add_squares(posterior, nodes, of_z, of_c, -1.0, out)
    _add_outer(_mean(posterior * nodes, of_z), _mean(posterior, of_z), _mean(posterior, of_c), out)


@compiled
def _add_squares(posterior, nodes, of_z, of_c, sign, out):
    for k in range(nodes.size):
        weight = sign * posterior[k]
        zz, zc = weight * of_z[k] * of_z[k], weight * of_z[k] * of_c[k]
        out[0] += zz * nodes[k] * nodes[k]
        out[1] += zz * nodes[k]
        out[2] += zc * nodes[k]
        out[3] += zz
        out[4] += zc
        out[5] += weight * of_c[k] * of_c[k]


@compiled
def add_covariances(start, code, table, log_weights, nodes, by_z, by_c, place, of_ability, out):
    """Add Σ_u Cov_u(S) of the score S of all parameters to the upper triangle of `out`, (n, n).

    Cov(f, g) = Σ_r E[f·φ_r]·E[g·φ_r], r ≥ 1, for polynomials φ_r that are orthonormal under
    learner u's posterior: one row a parameter, one column a learner and degree, times its transpose.
    A learner has as many degrees as matter.

    Parameters
    ----------
    by_z, by_c
        As in `add_score_products`.
    place
        Rows of each item's a, d and logit c, −1 where they are held, (n_items, 3).
    of_ability
        Scores of the ability distribution's own parameters at the nodes, (0…2, n_nodes); the last rows.
    """
    scores = np.zeros((out.shape[0], COLUMNS_AT_ONCE))
    posterior = np.empty(nodes.size)
    column = 0
    for row in range(start.size - 1):
        if start[row] == start[row + 1]:
            continue
        if column + MOST_DEGREES > COLUMNS_AT_ONCE:
            add_squares(scores, out)
            scores[:] = 0.0
            column = 0
        posterior_of(start, code, row, table, log_weights, posterior)
        answers, own = code[start[row] : start[row + 1]], scores[:, column : column + MOST_DEGREES]
        column += _fill(answers, posterior, nodes, by_z, by_c, place, of_ability, own)
    add_squares(scores, out)


@compiled
def _fill(answers, posterior, nodes, by_z, by_c, place, of_ability, out):
    """Fill one learner's columns, (n, MOST_DEGREES), and return how many matter; the others are 0."""
    squares = np.empty(MOST_DEGREES)
    for degrees in (FEW_DEGREES, MOST_DEGREES):
        basis = np.empty((degrees + 2, nodes.size))
        alpha, beta = np.empty(degrees + 1), np.empty(degrees + 1)
        basis[0] = posterior
        _orthonormalise(basis, nodes, alpha, beta)
        out[:] = 0.0
        squares[:] = 0.0
        _project(answers, basis, alpha, beta, by_z, by_c, place, out, squares)
        for at in range(of_ability.shape[0]):
            values = out[out.shape[0] - of_ability.shape[0] + at]
            for r in range(degrees):
                values[r] = _mean(basis[r + 1], of_ability[at])
                squares[r] += values[r] * values[r]
        if squares[degrees - 1] <= NEGLIGIBLE * squares[0]:
            break
    while degrees > 1 and squares[degrees - 1] <= NEGLIGIBLE * squares[0]:
        degrees -= 1
    out[:, degrees:] = 0.0
    return degrees


@compiled
def _orthonormalise(basis, nodes, alpha, beta):
    """Fill posterior·φ_r, r ≥ 1, below the posterior in `basis`, (degrees + 2, n_nodes).

    Stieltjes' recurrence θφ_r = β_r·φ_{r+1} + α_r·φ_r + β_{r−1}·φ_{r−1}.
    """
    n_nodes = nodes.size
    before, here, norm = np.zeros(n_nodes), np.ones(n_nodes), 0.0
    posterior = basis[0]
    for r in range(alpha.size):
        mean = 0.0
        for k in range(n_nodes):
            mean += posterior[k] * here[k] * here[k] * nodes[k]
        square = 0.0
        for k in range(n_nodes):
            rest = (nodes[k] - mean) * here[k] - norm * before[k]
            before[k] = here[k]
            here[k] = rest
            square += posterior[k] * rest * rest
        norm = np.sqrt(square)
        alpha[r], beta[r] = mean, norm
        scale = 1 / norm if norm > SMALLEST_NORM else 0.0
        for k in range(n_nodes):
            here[k] *= scale
            basis[r + 1, k] = posterior[k] * here[k]


@compiled
def _project(answers, basis, alpha, beta, by_z, by_c, place, out, squares):
    """Add E[s·φ_r] of each answer's score s to the rows of its parameters, and its square by degree.

    For a slope s = θ·∂/∂z, so that the recurrence of the polynomials gives it from the intercept's.
    """
    degrees = basis.shape[0] - 2
    means = np.empty(degrees + 2)
    for j in range(answers.size):
        of_a, of_d, of_c = place[answers[j] >> 1]
        _means(basis, by_z[answers[j]], means)
        if of_a >= 0:
            for r in range(1, degrees + 1):
                value = beta[r] * means[r + 1] + alpha[r] * means[r] + beta[r - 1] * means[r - 1]
                out[of_a, r - 1] += value
                squares[r - 1] += value * value
        if of_d >= 0:
            _add_means(means, out[of_d], squares)
        if of_c >= 0:
            _means(basis, by_c[answers[j]], means)
            _add_means(means, out[of_c], squares)


@compiled
def _add_means(means, out, squares):
    for r in range(means.size - 2):
        out[r] += means[r + 1]
        squares[r] += means[r + 1] * means[r + 1]


@compiled
def _means(basis, values, out):
    """Fill E[values·φ_r], (n_rows,), four rows of the basis at a time."""
    n = basis.shape[0]
    r = 0
    while r + 4 <= n:
        b0, b1, b2, b3 = basis[r], basis[r + 1], basis[r + 2], basis[r + 3]
        s0 = s1 = s2 = s3 = 0.0
        for k in range(values.size):
            s0 += b0[k] * values[k]
            s1 += b1[k] * values[k]
            s2 += b2[k] * values[k]
            s3 += b3[k] * values[k]
        out[r], out[r + 1], out[r + 2], out[r + 3] = s0, s1, s2, s3
        r += 4
    while r < n:
        out[r] = _mean(basis[r], values)
        r += 1


@compiled
def add_spread_covariances(start, code, table, log_weights, by_z, of_spread, out):
    """Add Σ_u Cov_u of the spread's score with the scores of z and, last, with itself, (n_items + 1,)."""
    posterior = np.empty(of_spread.size)
    for row in range(start.size - 1):
        if start[row] == start[row + 1]:
            continue
        posterior_of(start, code, row, table, log_weights, posterior)
        mean = _mean(posterior, of_spread)
        for k in range(of_spread.size):
            posterior[k] *= of_spread[k] - mean
        out[-1] += _mean(posterior, of_spread)
        for j in range(start[row], start[row + 1]):
            out[code[j] >> 1] += _mean(posterior, by_z[code[j]])
