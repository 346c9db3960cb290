"""The E-step where most learners answered most items: products of matrices in the place of gathered rows."""

import numpy as np

from seedtest.irt.kernels.cache import compiled
from seedtest.irt.kernels.estimation import normalise
from seedtest.irt.kernels.products import add_products

LEARNERS_AT_ONCE = 72
"""Nine cache lines: the columns of a power of two would fall into the same few sets of the cache."""


@compiled
def add_posteriors(start, code, table, log_weights, sums, mass):
    """Do what `estimation.add_posteriors` does, for rows that hold nearly every item once.

    With X the right answers, (n_learners, n_items), and P the posteriors, (n_learners, n_nodes): the log
    likelihood is that of wrong answers to everything plus X·(log P − log Q), and right answers add up to XᵀP,
    wrong ones to the rest. What items a learner did not answer, or answered again, is put right one by one.
    """
    n_items, n_nodes = table.shape[0] // 2, table.shape[1]
    gain, all_wrong = np.empty((n_nodes, n_items)), log_weights.copy()
    for i in range(n_items):
        for k in range(n_nodes):
            all_wrong[k] += table[2 * i, k]
            gain[k, i] = table[2 * i + 1, k] - table[2 * i, k]
    # Rows without a learner are multiplied too, by 0: what they hold must be numbers.
    answers, by_item = np.zeros((LEARNERS_AT_ONCE, n_items)), np.empty((n_items, LEARNERS_AT_ONCE))
    excess = np.empty_like(answers)
    posteriors, by_node = np.empty((LEARNERS_AT_ONCE, n_nodes)), np.empty((n_nodes, LEARNERS_AT_ONCE))
    right, everyone = np.zeros((n_items, n_nodes)), np.zeros(n_nodes)
    loglik = 0.0
    for first in range(0, start.size - 1, LEARNERS_AT_ONCE):
        n = min(LEARNERS_AT_ONCE, start.size - 1 - first)
        for u in range(n):
            posteriors[u] = all_wrong
            _read(code[start[first + u] : start[first + u + 1]], answers[u], excess[u])
            _add_rows(excess[u], table, posteriors[u])
        add_products(answers, gain, posteriors)
        for u in range(LEARNERS_AT_ONCE):
            if u < n and start[first + u] < start[first + u + 1]:
                loglik += normalise(posteriors[u])
                _add_to_rows(excess[u], posteriors[u], sums)
            else:
                posteriors[u] = 0.0
            for k in range(n_nodes):
                everyone[k] += posteriors[u, k]
        _transpose(answers, by_item)
        _transpose(posteriors, by_node)
        add_products(by_item, by_node, right)
    for k in range(n_nodes):
        mass[k] += everyone[k]
    for i in range(n_items):
        for k in range(n_nodes):
            sums[2 * i, k] += everyone[k] - right[i, k]
            sums[2 * i + 1, k] += right[i, k]
    return loglik


@compiled
def _read(codes, answers, excess):
    """Count right answers by item, and answers beyond one an item: −1 where there is none, (n_items,)."""
    answers[:] = 0.0
    excess[:] = -1.0
    for j in range(codes.size):
        answers[codes[j] >> 1] += codes[j] & 1
        excess[codes[j] >> 1] += 1.0


@compiled
def _add_rows(excess, rows, out):
    """Add the rows of wrong answers as often as there is an answer in excess."""
    for i in range(excess.size):
        if excess[i] != 0:
            for k in range(out.size):
                out[k] += excess[i] * rows[2 * i, k]


@compiled
def _add_to_rows(excess, values, rows):
    for i in range(excess.size):
        if excess[i] != 0:
            for k in range(values.size):
                rows[2 * i, k] += excess[i] * values[k]


@compiled
def _transpose(matrix, out):
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            out[j, i] = matrix[i, j]
