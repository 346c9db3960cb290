"""The observed information about all parameters of a fit at once, and the covariances that follow."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import logsumexp

from seedtest.irt.compiled import kernels
from seedtest.irt.design import Role
from seedtest.irt.em import EmFit
from seedtest.irt.parameters import FloatArray
from seedtest.irt.rows import Rows
from seedtest.irt.sweep import Sweep

MOST_POLYNOMIALS, FEWEST_POLYNOMIALS = 12, 5
"""Polynomials that stand for a function of ability under one learner's posterior."""

LONG_TEST = 30
"""Answers a learner from which posteriors are so narrow that the fewest do.

Standard errors then change by less than 1e-6 with more; with five answers a learner the most leave 1e-5.
"""

LEARNERS_AT_ONCE = 512

SMALLEST_NORM = 1e-10
"""A posterior on a few nodes has no further orthogonal polynomials than nodes."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """Derivatives of log Q and log P by z = aθ + d and by logit c, (2·n_items, n_nodes), and s, c."""

    by_z: FloatArray
    by_c: FloatArray
    s: FloatArray
    c: FloatArray


def n_polynomials(em: EmFit) -> int:
    """How many polynomials the posteriors of this fit need."""
    answers_each = em.expectation.sums.sum() / em.expectation.mass.sum()
    return FEWEST_POLYNOMIALS if answers_each >= LONG_TEST else MOST_POLYNOMIALS


def covariance_blocks(sweep: Sweep, em: EmFit, own: FloatArray, slopes: Slopes) -> FloatArray | None:
    """Each item's block of the inverse of the whole observed information, (n_items, 3, 3); None: singular.

    Louis (1982): I = E[−H] − Σ_u Cov_u(S), the covariance of the complete-data score S under the posterior of
    learner u. `own` holds the items' own blocks, (n_items, 3, 3). Between two items only the
    covariances are left, which are taken in polynomials orthonormal under the posterior: Cov(f, g) = Σ_r
    E[f·φ_r]·E[g·φ_r], r ≥ 1, so that the sum over learners is one product of matrices.
    The values are those of Oakes' (1999) identity, to which this is an equal way.

    Rows and columns of parameters that are held are 0.
    """
    free = np.flatnonzero(em.design.is_free)
    n_free, extra = free.size, _distribution(em)
    shared = _shared_covariance(sweep, em, slopes)
    information = -shared
    at = np.full(em.design.is_free.size, -1)
    at[free] = np.arange(n_free)
    _put_blocks(information, own, at.reshape(-1, 3))
    information[n_free:, n_free:] += extra
    covariance = _inverse(information)
    if covariance is None:
        return None
    return _taken(covariance, at.reshape(-1, 3))


def _distribution(em: EmFit) -> FloatArray:
    """E[−H] of the ability distribution about its free mean and log sd, (0…2, 0…2)."""
    deviation = (em.nodes - em.state.mean) / em.state.sd
    mass = em.expectation.mass
    mean = float(mass.sum()) / em.state.sd**2
    cross, spread = 2 * float(mass @ deviation) / em.state.sd, 2 * float(mass @ deviation**2)
    both = np.array([[mean, cross], [cross, spread]])
    chosen = _free_of_distribution(em)
    return both[np.ix_(chosen, chosen)]


def _free_of_distribution(em: EmFit) -> list[int]:
    return [at for at, role in enumerate((em.design.mean, em.design.sd)) if role is Role.FREE]


def _distribution_scores(em: EmFit) -> FloatArray:
    """Scores of log φ(θ) by mean and log sd at the nodes, (0…2, n_nodes)."""
    deviation = (em.nodes - em.state.mean) / em.state.sd
    return np.stack([deviation / em.state.sd, deviation**2 - 1])[_free_of_distribution(em)]


def _shared_covariance(sweep: Sweep, em: EmFit, slopes: Slopes) -> FloatArray:
    """Σ_u Cov_u(S) over all free parameters, (n_free, n_free)."""
    table = sweep.log_table(em.state.on_grid()).copy()
    wrong, right = _score_tables(em, slopes, 0), _score_tables(em, slopes, 1)
    scores = _distribution_scores(em)
    degrees = n_polynomials(em)
    item_of = np.flatnonzero(em.design.is_free) // 3
    size = item_of.size + len(scores)
    sums = np.zeros((sweep.n_threads, size, size))

    kernel = kernels("products")

    def work(thread: int, rows: Rows) -> None:
        for first in range(0, rows.start.size - 1, LEARNERS_AT_ONCE):
            counts = _counts(rows, first, em.design.is_free.shape[0])
            weights = _projections(counts @ table + em.grid.log_weights, em.grid.nodes, degrees)
            flat = weights.reshape(-1, weights.shape[2])
            values = np.zeros((len(flat), size))
            kernel.score_means(flat, counts, wrong, right, item_of, degrees, values)
            for at, of_distribution in enumerate(scores):
                values[:, item_of.size + at] = (flat * of_distribution).sum(axis=1)
            kernel.add_squares(values, sums[thread])

    sweep.each_block(work)
    upper = sums.sum(axis=0)
    return np.asarray(upper + np.triu(upper, 1).T)


def _score_tables(em: EmFit, slopes: Slopes, verdict: int) -> FloatArray:
    """Scores of one answer by each free parameter of its item at the nodes, (n_free, n_nodes)."""
    by_z, by_c = slopes.by_z[verdict::2], slopes.by_c[verdict::2]
    stacked = np.stack([by_z * em.nodes, by_z, by_c], axis=1)
    return np.asarray(stacked[em.design.is_free])


def _counts(rows: Rows, first: int, n_items: int) -> FloatArray:
    """Answers of some learners by code, (n_learners, 2·n_items); learners without any are left out."""
    start = rows.start[first : first + LEARNERS_AT_ONCE + 1]
    lengths = np.diff(start)
    learner = np.repeat(np.arange(lengths.size), lengths)
    counts = np.zeros((lengths.size, 2 * n_items))
    np.add.at(counts, (learner, rows.code[start[0] : start[-1]]), 1.0)
    return np.asarray(counts[lengths > 0])


def _projections(log_density: FloatArray, nodes: FloatArray, degrees: int) -> FloatArray:
    """Posterior times orthonormal polynomials of degree 1, 2, …, (n_learners, degrees, n_nodes).

    Stieltjes' recurrence θφ_r = β_r·φ_{r+1} + α_r·φ_r + β_{r−1}·φ_{r−1}, learner by learner.
    """
    posterior = np.exp(log_density - logsumexp(log_density, axis=1, keepdims=True))
    out = np.empty((len(posterior), degrees, nodes.size))
    before, here, norm = np.zeros_like(posterior), np.ones_like(posterior), np.zeros((len(posterior), 1))
    for degree in range(degrees):
        alpha = (posterior * here**2) @ nodes
        rest = (nodes - alpha[:, None]) * here - norm * before
        norm = np.sqrt((posterior * rest**2).sum(axis=1, keepdims=True))
        before, here = here, np.divide(rest, norm, out=np.zeros_like(rest), where=norm > SMALLEST_NORM)
        out[:, degree] = posterior * here
    return out


def _put_blocks(information: FloatArray, blocks: FloatArray, at: FloatArray) -> None:
    for i in range(3):
        for j in range(3):
            there = (at[:, i] >= 0) & (at[:, j] >= 0)
            information[at[there, i], at[there, j]] = blocks[there, i, j]


def _inverse(information: FloatArray) -> FloatArray | None:
    if not np.isfinite(information).all():
        return None
    try:
        factor = cho_factor(information, lower=True)
    except LinAlgError:
        return None
    return np.asarray(cho_solve(factor, np.eye(len(information))))


def _taken(covariance: FloatArray, at: FloatArray) -> FloatArray:
    blocks = np.zeros((len(at), 3, 3))
    for i in range(3):
        for j in range(3):
            there = (at[:, i] >= 0) & (at[:, j] >= 0)
            blocks[there, i, j] = covariance[at[there, i], at[there, j]]
    return blocks
