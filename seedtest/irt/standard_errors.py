"""Standard errors of items, each from its own block of the observed information."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from seedtest.irt.answers import AnswerMatrix
from seedtest.irt.em import Expectation
from seedtest.irt.maximisation import complete_information, logits
from seedtest.irt.parameters import FloatArray, IntArray

CELLS_PER_CHUNK = 1_000_000


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Learner–item pairs with answers: counts of right and of all answers, each (n_pairs,)."""

    user: IntArray
    item: IntArray
    right: FloatArray
    total: FloatArray

    def chunks(self, size: int) -> Iterator["_Pairs"]:
        for start in range(0, self.user.size, size):
            part = slice(start, start + size)
            yield _Pairs(self.user[part], self.item[part], self.right[part], self.total[part])


def item_information(
    answers: AnswerMatrix, expectation: Expectation, lines: FloatArray, nodes: FloatArray
) -> FloatArray:
    """Observed information about each item's slope and intercept, (n_items, 2, 2).

    Louis (1982), for one item with the others held: complete information minus, over the learners,
    the posterior covariance of the item's score (r − nP)(θ, 1). It is the item's diagonal block of
    minus the second derivative of the marginal log-likelihood.

    Errors from the block's inverse ignore that other items are estimated too: right when each learner
    answered a small part of the items, too small (down to 0.8 of the full ones) when every learner
    answered every item. The full observed information comes with the compiled engine.
    """
    observed = complete_information(expectation.counts, nodes, lines)
    p = expit(logits(lines, nodes))
    powers = np.stack([nodes**2, nodes, np.ones_like(nodes)], axis=1)
    for pairs in _pairs(answers).chunks(CELLS_PER_CHUNK // nodes.size):
        missing = _score_covariance(pairs, expectation.posterior, p, powers)
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            lost = np.bincount(pairs.item, missing[:, row + column], minlength=len(lines))
            observed[:, row, column] -= lost
    return observed


def parameter_errors(information: FloatArray, lines: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Invert to standard errors of a and b = −d/a (delta method), each (n_items,); NaN where singular."""
    determinant = np.linalg.det(information)
    regular = (determinant > 0) & (information[:, 0, 0] > 0)
    covariance = np.full_like(information, np.nan)
    covariance[regular] = np.linalg.inv(information[regular])
    a, d = lines[:, 0], lines[:, 1]
    by_line = np.stack([d / a**2, -1 / a], axis=1)
    variance_b = np.einsum("ij,ijk,ik->i", by_line, covariance, by_line)
    return np.sqrt(covariance[:, 0, 0]), np.sqrt(variance_b)


def _pairs(answers: AnswerMatrix) -> _Pairs:
    entries = answers.tocoo()
    user, column = (np.asarray(index, dtype=np.int64) for index in entries.coords)
    n_items = answers.shape[1] // 2
    key, at = np.unique(user * n_items + column % n_items, return_inverse=True)
    right = np.bincount(at, entries.data * (column < n_items)).astype(np.float64)
    total = np.bincount(at, entries.data).astype(np.float64)
    return _Pairs(key // n_items, key % n_items, right, total)


def _score_covariance(pairs: _Pairs, posterior: FloatArray, p: FloatArray, powers: FloatArray) -> FloatArray:
    """Posterior variance of (r − nP)·θ, its covariance with r − nP, variance of that, (n_pairs, 3)."""
    score = pairs.right[:, None] - pairs.total[:, None] * p[pairs.item]
    weighted = posterior[pairs.user] * score
    mean = weighted @ powers[:, 1:]
    square = (weighted * score) @ powers
    products = np.stack([mean[:, 0] ** 2, mean[:, 0] * mean[:, 1], mean[:, 1] ** 2], axis=1)
    return np.asarray(square - products)
