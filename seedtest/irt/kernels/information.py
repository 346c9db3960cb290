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
    posterior, of_z, of_c = np.empty(n_nodes), np.empty(n_nodes), np.empty(n_nodes)
    for row in range(start.size - 1):
        posterior_of(start, code, row, table, log_weights, posterior)
        j, end = start[row], start[row + 1]
        while j < end:
            item, first = code[j] >> 1, j
            while j < end and code[j] >> 1 == item:
                j += 1
            if j == first + 1:
                _add_products(posterior, nodes, by_z[code[first]], by_c[code[first]], has_c[item], out[item])
                continue
            of_z[:], of_c[:] = 0.0, 0.0
            for answer in range(first, j):
                of_z += by_z[code[answer]]
                of_c += by_c[code[answer]]
                _add_squares(
                    posterior, nodes, by_z[code[answer]], by_c[code[answer]], has_c[item], 1.0, out[item]
                )
            _add_products(posterior, nodes, of_z, of_c, has_c[item], out[item])
            _add_squares(posterior, nodes, of_z, of_c, has_c[item], -1.0, out[item])


@compiled
def _add_products(posterior, nodes, of_z, of_c, has_c, out):
    a = d = 0.0
    for k in range(nodes.size):
        weighted = posterior[k] * of_z[k]
        a += weighted * nodes[k]
        d += weighted
    out[0] += a * a
    out[1] += a * d
    out[3] += d * d
    if has_c:
        g = 0.0
        for k in range(nodes.size):
            g += posterior[k] * of_c[k]
        out[2] += a * g
        out[4] += d * g
        out[5] += g * g


@compiled
def _add_squares(posterior, nodes, of_z, of_c, has_c, sign, out):
    for k in range(nodes.size):
        weight = sign * posterior[k]
        zz = weight * of_z[k] * of_z[k]
        out[0] += zz * nodes[k] * nodes[k]
        out[1] += zz * nodes[k]
        out[3] += zz
        if has_c:
            zc = weight * of_z[k] * of_c[k]
            out[2] += zc * nodes[k]
            out[4] += zc
            out[5] += weight * of_c[k] * of_c[k]
