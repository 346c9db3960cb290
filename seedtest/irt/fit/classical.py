"""Classical item statistics: share right and corrected point-biserial correlation."""

from dataclasses import dataclass

import numpy as np

from seedtest.irt.parameters import FloatArray, IntArray
from seedtest.irt.rows import Answers, Rows

ANSWERS_A_PIECE = 250_000


@dataclass(frozen=True, eq=False)
class ClassicalStatistics:
    """Statistics that need no model, in the order of `item_ids`.

    Attributes
    ----------
    item_ids
        Ids, (n_items,).
    n
        Answers, (n_items,).
    p_value
        Share of right answers, (n_items,); NaN without answers.
    point_biserial
        Correlation of the answer with the learner's share of right answers to the other items, (n_items,);
        NaN where either does not vary.
    """

    item_ids: tuple[str, ...]
    n: IntArray
    p_value: FloatArray
    point_biserial: FloatArray


def classical_statistics(answers: Answers) -> ClassicalStatistics:
    """Share right and corrected item–rest correlation of every item.

    The rest is the share right among the learner's other answers, so that learners with different
    items can be compared; with complete data that is the usual correlation with the rest score
    (Henrysson, 1963). Learners with one answer do not count in it.
    """
    sums = np.zeros((len(_SUMS), answers.n_items))
    # In pieces, since an answer takes a hundred bytes here.
    for block in answers.blocks(max(len(answers) // ANSWERS_A_PIECE, 1)):
        sums += _sums(block.load(), answers.n_items)
    n, right, paired, paired_right, rest, rest_squared, both = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = both / paired - (paired_right / paired) * (rest / paired)
        share = paired_right / paired
        variance = share * (1 - share) * (rest_squared / paired - (rest / paired) ** 2)
        correlation = np.where(variance > _ROUNDING, covariance / np.sqrt(variance), np.nan)
        return ClassicalStatistics(answers.item_ids, n.astype(np.int64), right / n, correlation)


_SUMS = ("answers", "right", "with a rest", "of these right", "rest", "rest²", "rest where right")
_ROUNDING = 1e-14


def _sums(rows: Rows, n_items: int) -> FloatArray:
    lengths = np.diff(rows.start)
    learner = np.repeat(np.arange(lengths.size), lengths)
    code = rows.code[rows.start[0] : rows.start[-1]]
    item, correct = code >> 1, (code & 1).astype(np.float64)
    total = np.bincount(learner, correct, lengths.size)
    others = (lengths - 1)[learner]
    paired = (others > 0).astype(np.float64)
    rest = np.divide(total[learner] - correct, others, out=np.zeros_like(correct), where=others > 0)
    weights = (np.ones_like(correct), correct, paired, paired * correct, rest, rest**2, rest * correct)
    return np.stack([np.bincount(item, weight, n_items) for weight in weights])
