"""Standard errors of items from the observed information: all of it, or each item's own block."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import expit

from seedtest.errors import CalibrationError
from seedtest.irt.compiled import kernels
from seedtest.irt.design import Role
from seedtest.irt.em import EmFit
from seedtest.irt.observed_information import Slopes, SpreadInformation, spread_information, whole_covariance
from seedtest.irt.parameters import BoolArray, FloatArray
from seedtest.irt.rows import Rows
from seedtest.irt.sweep import Sweep

UPPER = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Positions of the kernels' six products in a block."""


LARGEST_SHARE_FOR_BLOCKS = 0.1
"""Share of the learners up to which an item's own block is enough.

What the block leaves out, that the other items are estimated too, adds about share·a²/5 to the variance of
an intercept: 2 % of it, 1 % of its standard error, at a tenth of the learners and a = 1.
"""

MOST_PARAMETERS = 2_000
MOST_PRODUCTS = 2e11
"""The whole information is taken up to so many parameters (32 MB a thread) and multiplications (seconds)."""


POLYNOMIALS = 5
"""About how many a learner's posterior needs; see `kernels.information.add_covariances`."""


class ErrorKind(StrEnum):
    """Where standard errors come from.

    FULL: the inverse of the whole observed information. BLOCK: the inverse of each item's own block, other
    items held; right when every item was answered by a small share of the learners, and down to
    0.8 of the full ones when everybody answered everything. NONE: not computed, which saves time.
    UNKNOWN: an engine elsewhere does not say.
    """

    FULL = "full"
    BLOCK = "block"
    NONE = "none"
    UNKNOWN = "unknown"


def wished_kind(kind: ErrorKind | str | None) -> ErrorKind | None:
    """Return the kind that a caller may wish for, None if the data are to decide."""
    wishes = (ErrorKind.FULL, ErrorKind.BLOCK, ErrorKind.NONE)
    if kind is None or kind in wishes:
        return None if kind is None else ErrorKind(kind)
    raise CalibrationError(
        f"Cannot calibrate: standard errors of kind {kind!r} do not exist; choose {', '.join(wishes)}, "
        "or None for the kind that the data call for."
    )


@dataclass(frozen=True, eq=False)
class ItemCovariance:
    """Covariance of each item's parameters, and where it comes from.

    Attributes
    ----------
    blocks
        Of slope, intercept and logit c, (n_items, 3, 3); 0 where a parameter is held, NaN where the
        information is singular.
    kind
        Whole observed information or each item's block.
    with_log_sd
        Covariance of these with the log standard deviation of ability, (n_items, 3); 0 where that is held,
        and in blocks of anchored fits, which hold it.
    of_log_sd
        Variance of the log standard deviation of ability; 0 likewise.
    """

    blocks: FloatArray
    kind: ErrorKind
    with_log_sd: FloatArray
    of_log_sd: float


@dataclass(frozen=True, eq=False)
class ParameterErrors:
    """Standard errors of a, d, b and c, each (n_items,); NaN where held or the information is singular."""

    a: FloatArray
    d: FloatArray
    b: FloatArray
    c: FloatArray


def item_covariance(sweep: Sweep, em: EmFit, kind: ErrorKind | None = None) -> ItemCovariance:
    """Invert the whole observed information where that matters and can be done, else each item's block.

    `kind` decides, where it is given. Else the whole matters when an item was answered by more than a tenth
    of the learners; it can be done up to 2,000 parameters and 2·10¹¹ multiplications. Where it is
    singular the blocks take its place. To the blocks of a Rasch model the free spread of ability is added:
    only the covariances between items are left out.
    """
    if kind is ErrorKind.NONE:
        return _unknown(em)
    slopes = _slopes(em)
    own = _item_information(sweep, em, slopes)
    if kind is ErrorKind.FULL or (kind is None and _whole_is_wanted(em)):
        whole = whole_covariance(sweep, em, own, slopes)
        if whole is not None:
            return ItemCovariance(whole.blocks, ErrorKind.FULL, whole.with_log_sd, whole.of_log_sd)
    blocks = _inverted(own, em)
    if em.design.sd is Role.FREE and em.design.mean is not Role.FREE:
        return _with_spread(blocks, spread_information(sweep, em, slopes))
    return ItemCovariance(blocks, ErrorKind.BLOCK, np.zeros(blocks.shape[:2]), 0.0)


def _unknown(em: EmFit) -> ItemCovariance:
    shape = em.state.params.shape
    return ItemCovariance(np.full((*shape, 3), np.nan), ErrorKind.NONE, np.full(shape, np.nan), np.nan)


def _with_spread(blocks: FloatArray, spread: SpreadInformation) -> ItemCovariance:
    """Invert the information about all intercepts and ability's log sd, without that between two items.

    With D_i the information about intercept i alone, h_i that between it and the log sd, and H about the
    latter: Var(log sd) = 1/(H − Σ h_i²/D_i), Cov(d_i, log sd) = −h_i/D_i·Var(log sd), Var(d_i) = 1/D_i +
    (h_i/D_i)²·Var(log sd).
    """
    held = -blocks[:, 1, 1] * spread.with_items
    left = spread.own + float(np.nansum(held * spread.with_items))
    variance = 1 / left if left > 0 else np.nan
    added, covariances = np.zeros_like(blocks), np.zeros(blocks.shape[:2])
    added[:, 1, 1], covariances[:, 1] = held**2 * variance, held * variance
    return ItemCovariance(blocks + added, ErrorKind.BLOCK, covariances, variance)


def _whole_is_wanted(em: EmFit) -> bool:
    n_users = em.expectation.mass.sum()
    n = em.expectation.sums.sum(axis=1).reshape(-1, 2).sum(axis=1)
    n_parameters = em.design.n_parameters
    products = n_users * POLYNOMIALS * n_parameters**2
    small = n_parameters <= MOST_PARAMETERS and products <= MOST_PRODUCTS
    return small and bool(n.max() > LARGEST_SHARE_FOR_BLOCKS * n_users)


def _item_information(sweep: Sweep, em: EmFit, slopes: Slopes) -> FloatArray:
    """Observed information about each item's slope, intercept and logit c, (n_items, 3, 3).

    Louis (1982), for one item with the others held: the answers' own part, −E[H] − E[ssᵀ], which the
    expected answers give, and E[S]E[S]ᵀ of each learner's score S. With u and v the derivatives of an
    answer's log probability by z and logit c, the own part is −u(1 − 2s), u·c and −v(1 − 2c) for (z, z), (z,
    logit c) and (logit c, logit c), for right and wrong answers alike.
    """
    products = _own_part(em, slopes) + _learners_part(sweep, em, slopes)
    blocks = np.empty((len(products), 3, 3))
    for at, (i, j) in enumerate(UPPER):
        blocks[:, i, j] = blocks[:, j, i] = products[:, at]
    return blocks + _prior_curvature(em)


def _inverted(information: FloatArray, em: EmFit) -> FloatArray:
    is_free = em.design.is_free
    both = is_free[:, :, None] & is_free[:, None, :]
    blocks = np.where(both, information, np.eye(3))
    regular = np.asarray(np.isfinite(blocks).all(axis=(1, 2)))
    regular[regular] = np.linalg.eigvalsh(blocks[regular])[:, 0] > 0
    covariance = np.full_like(blocks, np.nan)
    covariance[regular] = np.linalg.inv(blocks[regular])
    return np.where(both, covariance, 0.0)


def parameter_errors(covariance: ItemCovariance, em: EmFit) -> ParameterErrors:
    """Return standard errors of a, d, b = −d/a and c; those of b and c by the delta method."""
    is_free, blocks = em.design.is_free, covariance.blocks
    a, d, logit_c = em.state.params.T
    c = expit(logit_c)
    by_line = np.stack([d / a**2, -1 / a, np.zeros_like(a)], axis=1)
    variance_b = np.einsum("ij,ijk,ik->i", by_line, blocks, by_line)
    return ParameterErrors(
        a=_root(blocks[:, 0, 0], is_free[:, 0]),
        d=_root(blocks[:, 1, 1], is_free[:, 1]),
        b=_root(variance_b, is_free[:, 1]),
        c=c * (1 - c) * _root(blocks[:, 2, 2], is_free[:, 2]),
    )


def common_slope_errors(covariance: ItemCovariance, em: EmFit) -> ParameterErrors:
    """Return standard errors of a Rasch fit told as a 1PL: a = σ for all items, b' = b/σ = −d/σ.

    ∂a/∂log σ = σ; ∂b'/∂d = −1/σ, ∂b'/∂log σ = d/σ. With σ held, so is a.
    """
    sd, d = em.state.sd, em.state.params[:, 1]
    variance_d, free = covariance.blocks[:, 1, 1], em.design.is_free[:, 1]
    spread = covariance.of_log_sd
    variance_b = (variance_d - 2 * d * covariance.with_log_sd[:, 1] + d**2 * spread) / sd**2
    unknown = np.full_like(d, np.nan)
    slope = np.full_like(d, sd * np.sqrt(spread)) if em.design.sd is Role.FREE else unknown
    return ParameterErrors(slope, _root(variance_d, free), _root(variance_b, free), unknown)


def _root(variance: FloatArray, known: BoolArray) -> FloatArray:
    return np.sqrt(np.where(known, variance, np.nan))


def _slopes(em: EmFit) -> Slopes:
    a, d, logit_c = em.state.params.T[:, :, None]
    c = expit(logit_c)
    s = expit(a * em.nodes + d)
    by_z, by_c = np.empty_like(em.expectation.sums), np.zeros_like(em.expectation.sums)
    ratio = np.divide(s, c + (1 - c) * s, out=np.ones_like(s), where=c > 0)
    by_z[0::2], by_z[1::2] = -s, ratio * (1 - c) * expit(-(a * em.nodes + d))
    if c.any():
        by_c[0::2] = -c
        by_c[1::2] = c * (1 - c) * np.divide(1 - s, c + (1 - c) * s, out=np.zeros_like(s), where=c > 0)
    return Slopes(by_z, by_c, s, c)


def _own_part(em: EmFit, slopes: Slopes) -> FloatArray:
    z, c = em.expectation.sums * slopes.by_z, em.expectation.sums * slopes.by_c
    both_z, both_c = z[0::2] + z[1::2], c[0::2] + c[1::2]
    zz, zc = -both_z * (1 - 2 * slopes.s), both_z * slopes.c
    cc = -both_c * (1 - 2 * slopes.c)
    x, one = em.nodes, np.ones_like(em.nodes)
    rows = zip((zz, zz, zc, zz, zc, cc), (x**2, x, x, one, one, one), strict=True)
    # The library's own threads, which a product would wake, outstay it and slow what comes next.
    return np.stack([np.einsum("ik,k->i", values, power) for values, power in rows], axis=1)


def _learners_part(sweep: Sweep, em: EmFit, slopes: Slopes) -> FloatArray:
    table = sweep.log_table(em.state.on_grid())
    has_c = em.design.is_free[:, 2]
    products = np.zeros((sweep.n_threads, len(has_c), len(UPPER)))
    add = kernels("information").add_score_products

    def work(thread: int, rows: Rows) -> None:
        add(
            rows.start,
            rows.code,
            table,
            em.grid.log_weights,
            em.nodes,
            slopes.by_z,
            slopes.by_c,
            has_c,
            products[thread],
        )

    sweep.each_block(work)
    return np.asarray(products.sum(axis=0))


def _prior_curvature(em: EmFit) -> FloatArray:
    """Minus the second derivatives of the log priors, (n_items, 3, 3)."""
    upper = np.zeros((len(em.state.params), 3, 3))
    kernels("priors").prior_curvatures(em.state.params, em.design.priors.rows, upper)
    return upper + np.triu(upper, 1).swapaxes(1, 2)
