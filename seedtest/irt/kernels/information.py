"""Learners' part of the observed information of items."""

import numpy as np

from seedtest.irt.kernels.cache import compiled
from seedtest.irt.kernels.estimation import posterior_of

PAIRS = 6
"""(a, a), (a, d), (a, g), (d, d), (d, g), (g, g)."""


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
