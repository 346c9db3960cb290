"""S-X²: observed and expected right answers at every total score (Orlando & Thissen, 2000)."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from seedtest.irt.design import ItemModel
from seedtest.irt.fit.complete import complete_table
from seedtest.irt.model import probability
from seedtest.irt.parameters import FloatArray, IntArray
from seedtest.irt.quadrature import normal_grid
from seedtest.irt.responses import Responses
from seedtest.irt.results import Calibration

SMALLEST_EXPECTED = 1.0
"""Scores are put together until every cell is expected to hold so many learners."""

PARAMETERS = {ItemModel.RASCH: 1, ItemModel.ONE_PL: 1, ItemModel.TWO_PL: 2, ItemModel.THREE_PL: 3}


@dataclass(frozen=True, eq=False)
class ItemFit:
    """S-X² of items, in the order of `item_ids`.

    Attributes
    ----------
    item_ids
        Ids, (n_items,).
    s_x2
        Σ (observed − expected)²/expected over scores and right and wrong, (n_items,).
    df
        Score groups less the item's parameters and those that all items share, (n_items,). Where anchors
        were held, their parameters are subtracted too, and the ability distribution's are not.
    p_value
        Probability of a larger S-X² if the model holds, (n_items,); NaN for df < 1.
    rmsea
        √max(0, (S-X²/df − 1)/(n_users − 1)), (n_items,); NaN for df < 1.
    """

    item_ids: tuple[str, ...]
    s_x2: FloatArray
    df: IntArray
    p_value: FloatArray
    rmsea: FloatArray


@dataclass(frozen=True, eq=False)
class _Cells:
    """Learners with an item wrong and right at each score in between, (n_scores, 2)."""

    observed: FloatArray
    expected: FloatArray

    def merged(self, source: int, target: int) -> "_Cells":
        """Add one score's cells to another's."""
        observed, expected = self.observed.copy(), self.expected.copy()
        observed[target] += observed[source]
        expected[target] += expected[source]
        return _Cells(np.delete(observed, source, axis=0), np.delete(expected, source, axis=0))


def item_fit(responses: Responses, calibration: Calibration) -> ItemFit:
    """Compare, at every total score but the lowest and highest, right answers with those expected.

    The share right expected at a score s is ∫ P_i·L₋ᵢ(s − 1) φ dθ / ∫ L(s) φ dθ, with the score
    distributions L by Lord & Wingersky's (1984) recursion. Scores are put together as mirt does: one that a
    single learner has joins the next; then, from the lowest, one with a cell expected below 1 joins its
    neighbour with fewer learners.

    Raises
    ------
    DataError
        When answers are missing or repeated: total scores then mean different things.
    """
    table = complete_table(responses, calibration, "S-X²")
    n_users, n_items = table.shape
    shares = _expected_shares(calibration)
    score = table.sum(axis=1).astype(np.int64)
    learners = np.bincount(score, minlength=n_items + 1)[1:n_items]
    cells = []
    for i in range(n_items):
        right = np.bincount(score, table[:, i], n_items + 1)[1:n_items]
        observed = np.stack([learners - right, right], axis=1)
        expected = learners[:, None] * np.stack([1 - shares[i], shares[i]], axis=1)
        cells.append(_collapsed(_Cells(observed, expected)))
    return _tested(calibration, cells, n_users)


def _tested(calibration: Calibration, cells: list[_Cells], n_users: int) -> ItemFit:
    with np.errstate(invalid="ignore", divide="ignore"):
        s_x2 = np.array([float(np.nansum((c.observed - c.expected) ** 2 / c.expected)) for c in cells])
    own = np.array([PARAMETERS[ItemModel(model)] for model in calibration.item_models])
    # What all items share: the variance of a Rasch model's ability, the slope of a 1PL.
    shared = max(calibration.n_parameters - int(own.sum()), 0)
    df = np.array([len(c.expected) for c in cells]) - own - shared
    positive = np.where(df > 0, df, np.nan)
    rmsea = np.sqrt(np.maximum(s_x2 / positive - 1, 0) / (n_users - 1))
    return ItemFit(calibration.items.item_ids, s_x2, df, np.asarray(chi2.sf(s_x2, positive)), rmsea)


def _expected_shares(calibration: Calibration) -> FloatArray:
    """Probability of the item right at the total scores 1 … n_items − 1, (n_items, n_items − 1).

    Leaving out one item at a time by halves: each level of the division costs one pass of the recursion.
    """
    grid = normal_grid(calibration.prior)
    p = probability(calibration.items, grid.nodes)
    weights = np.exp(grid.log_weights)
    shares = np.empty((len(p), len(p) - 1))

    def divide(first: int, last: int, others: FloatArray) -> None:
        if last - first == 1:
            right = others @ (weights * p[first])
            wrong = others @ (weights * (1 - p[first]))
            shares[first] = right[:-1] / (right[:-1] + wrong[1:])
            return
        middle = (first + last) // 2
        divide(first, middle, _with_items(others, p[middle:last]))
        divide(middle, last, _with_items(others, p[first:middle]))

    divide(0, len(p), np.ones((1, grid.nodes.size)))
    return shares


def _with_items(scores: FloatArray, p: FloatArray) -> FloatArray:
    """Lord & Wingersky's recursion: the distribution of scores, (n_scores, n_nodes), with more items."""
    for right in p:
        longer = np.zeros((len(scores) + 1, scores.shape[1]))
        longer[:-1] = scores * (1 - right)
        longer[1:] += scores * right
        scores = longer
    return scores


def _collapsed(cells: _Cells) -> _Cells:
    reached = cells.observed.sum(axis=1) > 0
    cells = _without_lone_learners(_Cells(cells.observed[reached], cells.expected[reached]))
    while len(cells.expected) > 1:
        rare = ((cells.expected < SMALLEST_EXPECTED) & (cells.expected > 0)).any(axis=1)
        if not rare.any():
            break
        at = int(rare.argmax())
        cells = cells.merged(at, _neighbour(cells.observed.sum(axis=1), at))
    return cells


def _without_lone_learners(cells: _Cells) -> _Cells:
    at = 0
    while at < len(cells.observed) and len(cells.observed) > 1:
        if cells.observed[at].sum() == 1:
            last = at == len(cells.observed) - 1
            cells = cells.merged(at, at - 1 if last else at + 1)
        else:
            at += 1
    return cells


def _neighbour(learners: FloatArray, at: int) -> int:
    """Return the neighbouring score with fewer learners, the lower one if they have as many."""
    if at == 0:
        return 1
    if at == learners.size - 1:
        return at - 1
    return at - 1 if learners[at - 1] <= learners[at + 1] else at + 1
