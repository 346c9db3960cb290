"""M2: the fit of the whole model to single items and pairs of items (Maydeu-Olivares & Joe, 2005, 2006)."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, qr, solve_triangular
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import chi2, ncx2

from seedtest.errors import DataError
from seedtest.irt.design import ItemModel
from seedtest.irt.fit.complete import complete_table
from seedtest.irt.model import probability
from seedtest.irt.parameters import FloatArray, IntArray, ItemParameters
from seedtest.irt.quadrature import normal_grid
from seedtest.irt.responses import Responses
from seedtest.irt.results import Calibration

MOST_ITEMS = 100
"""5,050 moments: their covariance takes 200 MB."""


@dataclass(frozen=True, slots=True)
class ModelFit:
    """Limited-information fit of a model.

    Attributes
    ----------
    m2, df, p_value
        Statistic, degrees of freedom, and probability of a larger one if the model holds.
    rmsea, rmsea_5, rmsea_95
        √max(0, (M2 − df)/(df·(n_users − 1))) and its 90 % confidence interval, √(λ/(df·n_users)) for the
        noncentralities λ under which M2 would be at the 95th and the 5th percentile (mirt's convention).
    srmsr
        Root mean squared difference of observed and expected correlations.
    tli, cfi
        Tucker–Lewis and comparative fit index against independent items.
    """

    m2: float
    df: int
    p_value: float
    rmsea: float
    rmsea_5: float
    rmsea_95: float
    srmsr: float
    tli: float
    cfi: float


@dataclass(frozen=True, eq=False)
class _Moments:
    """Shares right of single items and pairs: `first` = `second` for single items, each (n_moments,)."""

    first: IntArray
    second: IntArray

    @classmethod
    def of(cls, n_items: int) -> "_Moments":
        """All items, then all pairs."""
        singles = np.arange(n_items)
        low, high = np.triu_indices(n_items, 1)
        return cls(np.concatenate([singles, low]), np.concatenate([singles, high]))

    def products(self, p: FloatArray) -> FloatArray:
        """Probability that all of a moment's items are right, (n_moments, n_nodes)."""
        single = (self.first == self.second)[:, None]
        return np.where(single, p[self.first], p[self.first] * p[self.second])

    def with_item(self, item: int) -> IntArray:
        """Positions of the moments with the item: its own, then its pairs."""
        return np.flatnonzero((self.first == item) | (self.second == item))

    def without_item(self, at: IntArray, item: int, p: FloatArray) -> FloatArray:
        """Probability that a moment's other item is right, 1 for the item's own, (n_at, n_nodes)."""
        other = np.where(self.first[at] == item, self.second[at], self.first[at])
        return np.where((other == item)[:, None], 1.0, p[other])


def model_fit(responses: Responses, calibration: Calibration) -> ModelFit:
    """M2 = N·eᵀ(Ξ⁻¹ − Ξ⁻¹Δ(ΔᵀΞ⁻¹Δ)⁻¹ΔᵀΞ⁻¹)e, chi-squared distributed with n_moments − n_parameters df.

    e: observed less expected shares right of items and pairs; Ξ: their covariance and Δ: their derivatives
    by the parameters, both expected under the model.

    Raises
    ------
    DataError
        When answers are missing or repeated, for anchored fits, for fewer moments than parameters, and beyond
        100 items.
    """
    table = complete_table(responses, calibration, "M2")
    _require_items(calibration)
    grid = normal_grid(calibration.prior)
    weights = np.exp(grid.log_weights)
    p = probability(calibration.items, grid.nodes)
    moments = _Moments.of(table.shape[1])
    slopes = _slopes(calibration, grid.nodes)
    jacobian = _jacobian(moments, p, weights, slopes)
    df = moments.first.size - jacobian.shape[1]
    if df < 1:
        raise DataError(f"M2 has {df} degrees of freedom with {table.shape[1]} items; add items.")
    expected = moments.products(p) @ weights
    m2 = _statistic(table, moments, p, weights, jacobian)
    independent = table.mean(axis=0)[:, None]
    null_slopes = np.eye(table.shape[1])[:, :, None]
    one = np.ones(1)
    null_jacobian = _jacobian(moments, independent, one, null_slopes)
    null = _statistic(table, moments, independent, one, null_jacobian)
    null_df = moments.first.size - table.shape[1]
    return _summary(m2, df, len(table), null - null_df, null / null_df, _srmsr(table, moments, expected))


def _require_items(calibration: Calibration) -> None:
    if len(calibration.items) > MOST_ITEMS:
        raise DataError(
            f"M2 of {len(calibration.items)} items takes too much memory; it is computed for up to "
            f"{MOST_ITEMS}. Look at S-X² of the items, or at infit and outfit."
        )


def _statistic(
    table: FloatArray, moments: _Moments, p: FloatArray, weights: FloatArray, jacobian: FloatArray
) -> float:
    covariance = _covariance(moments, p, weights)
    joint = table.T @ table / len(table)
    residuals = joint[moments.first, moments.second] - moments.products(p) @ weights
    try:
        lower = cholesky(covariance, lower=True)
    except LinAlgError:
        raise DataError("M2: the covariance of the moments is singular; leave out duplicate items.") from None
    # With L⁻¹ applied, what Δ explains is a projection: stable where ΔᵀΞ⁻¹Δ is ill-conditioned.
    e = solve_triangular(lower, residuals, lower=True)
    basis = qr(solve_triangular(lower, jacobian, lower=True), mode="economic")[0]
    left = e - basis @ (basis.T @ e)
    return float(len(table) * left @ left)


def _covariance(moments: _Moments, p: FloatArray, weights: FloatArray) -> FloatArray:
    """Covariance of one learner's moments, (n_moments, n_moments).

    Products of disjoint moments first; where two share an item its probability counts once.
    """
    products = moments.products(p)
    expected = products @ weights
    joint = (products * weights) @ products.T
    for item in range(len(p)):
        at = moments.with_item(item)
        others = moments.without_item(at, item, p)
        joint[np.ix_(at, at)] = (others * (weights * p[item])) @ others.T
    np.fill_diagonal(joint, expected)
    return np.asarray(joint - np.outer(expected, expected))


def _slopes(calibration: Calibration, theta: FloatArray) -> FloatArray:
    """Differentiate P by each free parameter, (n_parameters, n_items, n_nodes)."""
    items, models = calibration.items, [ItemModel(name) for name in calibration.item_models]
    by_a, by_d, by_c = _item_slopes(items, theta)
    unit = np.eye(len(items))
    free = [unit[i][:, None] * by_d for i in range(len(items))]
    free += [unit[i][:, None] * by_a for i, model in enumerate(models) if model in _WITH_SLOPE]
    free += [unit[i][:, None] * by_c for i, model in enumerate(models) if model is ItemModel.THREE_PL]
    if len(free) == calibration.n_parameters - 1 and not _WITH_SLOPE.intersection(models):
        # One discrimination for all items, which a free variance of ability amounts to.
        free.append(by_a)
    if len(free) != calibration.n_parameters:
        raise DataError(
            f"M2 cannot be computed for a fit with anchors: {calibration.n_parameters} parameters are free, "
            f"the models of its items have {len(free)}."
        )
    return np.stack(free)


_WITH_SLOPE = {ItemModel.TWO_PL, ItemModel.THREE_PL}


def _item_slopes(items: ItemParameters, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    s = expit(items.a[:, None] * (theta - items.b[:, None]))
    by_d = (1 - items.c[:, None]) * s * (1 - s)
    return by_d * theta, by_d, 1 - s


def _jacobian(moments: _Moments, p: FloatArray, weights: FloatArray, slopes: FloatArray) -> FloatArray:
    """Differentiate the expected moments by the parameters, (n_moments, n_parameters)."""
    out = np.zeros((moments.first.size, len(slopes)))
    for item in range(len(p)):
        at = moments.with_item(item)
        out[at] += moments.without_item(at, item, p) @ (slopes[:, item] * weights).T
    return out


def _srmsr(table: FloatArray, moments: _Moments, expected: FloatArray) -> float:
    n_items = table.shape[1]
    mean, pairs = expected[:n_items], slice(n_items, None)
    low, high = moments.first[pairs], moments.second[pairs]
    sd = np.sqrt(mean * (1 - mean))
    model = (expected[pairs] - mean[low] * mean[high]) / (sd[low] * sd[high])
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.atleast_2d(np.corrcoef(table, rowvar=False))[low, high]
    return float(np.sqrt(np.mean((observed - model) ** 2)))


def _summary(
    m2: float, df: int, n_users: int, null_excess: float, null_ratio: float, srmsr: float
) -> ModelFit:
    low, high = (_noncentrality(m2, df, level) for level in (0.95, 0.05))
    return ModelFit(
        m2=m2,
        df=df,
        p_value=float(chi2.sf(m2, df)),
        rmsea=float(np.sqrt(max(m2 - df, 0.0) / (df * (n_users - 1)))),
        rmsea_5=float(np.sqrt(low / (df * n_users))),
        rmsea_95=float(np.sqrt(high / (df * n_users))),
        srmsr=srmsr,
        tli=(null_ratio - m2 / df) / (null_ratio - 1),
        cfi=float(np.clip(1 - (m2 - df) / null_excess, 0, 1)),
    )


def _noncentrality(m2: float, df: int, level: float) -> float:
    """Noncentrality under which a smaller statistic has the probability `level`; 0 if there is none."""
    if chi2.cdf(m2, df) <= level:
        return 0.0
    most = 2 * m2 + 10 * df + 100
    return float(brentq(lambda value: ncx2.cdf(m2, df, value) - level, 1e-9, most))
