"""The observed information about all parameters of a fit at once, and the covariances that follow."""

from dataclasses import dataclass

import numpy as np

from seedtest.irt.compiled import kernels
from seedtest.irt.design import Role
from seedtest.irt.em import EmFit
from seedtest.irt.parameters import FloatArray, IntArray
from seedtest.irt.rows import Rows
from seedtest.irt.sweep import Sweep


@dataclass(frozen=True, eq=False)
class Slopes:
    """Derivatives of log Q and log P by z = aθ + d and by logit c, (2·n_items, n_nodes), and s, c."""

    by_z: FloatArray
    by_c: FloatArray
    s: FloatArray
    c: FloatArray


@dataclass(frozen=True, eq=False)
class Covariance:
    """Covariances of the estimates, as far as they are needed.

    Attributes
    ----------
    blocks
        Of each item's slope, intercept and logit c, (n_items, 3, 3); 0 where a parameter is held.
    with_log_sd
        Of these with the log standard deviation of ability, (n_items, 3).
    of_log_sd
        Variance of the log standard deviation of ability; 0 where it is held.
    """

    blocks: FloatArray
    with_log_sd: FloatArray
    of_log_sd: float


def whole_covariance(sweep: Sweep, em: EmFit, own: FloatArray, slopes: Slopes) -> Covariance | None:
    """Invert the whole observed information; None: it is singular.

    Louis (1982): I = E[−H] − Σ_u Cov_u(S), the covariance of the complete-data score S under the posterior of
    learner u. `own` holds the items' own blocks, (n_items, 3, 3). Between two items only the
    covariances are left, which are taken in polynomials orthonormal under the posterior: Cov(f, g) = Σ_r
    E[f·φ_r]·E[g·φ_r], r ≥ 1, so that the sum over learners is one product of matrices.
    The values are those of Oakes' (1999) identity, to which this is an equal way.
    """
    free = np.flatnonzero(em.design.is_free)
    at = np.full(em.design.is_free.shape, -1)
    at.flat[free] = np.arange(free.size)
    information = -_shared_covariance(sweep, em, slopes, at)
    _put_blocks(information, own, at)
    information[free.size :, free.size :] += _of_distribution(em)
    root = _inverse_root(information)
    if root is None:
        return None
    blocks = _blocks(root, at)
    if em.design.sd is not Role.FREE:
        return Covariance(blocks, np.zeros(at.shape), 0.0)
    last = np.array([len(root) - 1])
    with_log_sd = np.where(at >= 0, np.einsum("kij,k->ij", root[:, at], root[:, -1]), 0.0)
    return Covariance(blocks, with_log_sd, float(_products(root, last, last)[0]))


@dataclass(frozen=True, eq=False)
class SpreadInformation:
    """Observed information about ability's log sd: between it and intercepts, (n_items,), and its own."""

    with_items: FloatArray
    own: float


def spread_information(sweep: Sweep, em: EmFit, slopes: Slopes) -> SpreadInformation:
    """Louis' (1982) information about the log standard deviation of ability, as in `whole_covariance`."""
    table, deviation = sweep.log_table(em.state.on_grid()), em.grid.nodes
    sums = np.zeros((sweep.n_threads, sweep.n_items + 1))
    add = kernels("information").add_spread_covariances

    def work(thread: int, rows: Rows) -> None:
        add(rows.start, rows.code, table, em.grid.log_weights, slopes.by_z, deviation**2 - 1, sums[thread])

    sweep.each_block(work)
    shared = sums.sum(axis=0)
    spread = 2 * float(em.expectation.mass @ deviation**2)
    return SpreadInformation(-shared[:-1], spread - float(shared[-1]))


def _of_distribution(em: EmFit) -> FloatArray:
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


def _shared_covariance(sweep: Sweep, em: EmFit, slopes: Slopes, place: IntArray) -> FloatArray:
    """Σ_u Cov_u(S) over all free parameters, (n_free, n_free)."""
    table, of_ability = sweep.log_table(em.state.on_grid()), _distribution_scores(em)
    size = int(em.design.is_free.sum()) + len(of_ability)
    sums = np.zeros((sweep.n_threads, size, size))
    add = kernels("information").add_covariances

    def work(thread: int, rows: Rows) -> None:
        add(
            rows.start,
            rows.code,
            table,
            em.grid.log_weights,
            em.nodes,
            slopes.by_z,
            slopes.by_c,
            place,
            of_ability,
            sums[thread],
        )

    sweep.each_block(work)
    upper = np.triu(sums.sum(axis=0))
    return np.asarray(upper + np.triu(upper, 1).T)


def _put_blocks(information: FloatArray, blocks: FloatArray, at: FloatArray) -> None:
    for i in range(3):
        for j in range(3):
            there = (at[:, i] >= 0) & (at[:, j] >= 0)
            information[at[there, i], at[there, j]] = blocks[there, i, j]


def _inverse_root(information: FloatArray) -> FloatArray | None:
    """Return R with RᵀR the inverse of the information; None where it is not positive definite."""
    inverse = kernels("inverse")
    lower = information.copy()
    if not (np.isfinite(information).all() and inverse.cholesky(lower)):
        return None
    root = np.empty_like(lower)
    inverse.invert_lower(lower, root)
    return root


def _products(root: FloatArray, left: IntArray, right: IntArray) -> FloatArray:
    """Elements (left, right) of RᵀR, (n_elements,)."""
    return np.asarray(np.einsum("kp,kp->p", root[:, left], root[:, right]))


def _blocks(root: FloatArray, at: IntArray) -> FloatArray:
    blocks = np.zeros((len(at), 3, 3))
    for i in range(3):
        for j in range(3):
            there = (at[:, i] >= 0) & (at[:, j] >= 0)
            blocks[there, i, j] = _products(root, at[there, i], at[there, j])
    return blocks
