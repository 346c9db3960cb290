"""Answers as a sparse matrix of counts, and its two products with tables over the nodes."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.sparse import coo_array, csr_array

from seedtest.irt.parameters import BoolArray, FloatArray, IndexArray, IntArray

AnswerMatrix: TypeAlias = csr_array[np.float64, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class NodeCounts:
    """Right answers and all answers expected of learners at each node, each (n_items, n_nodes)."""

    right: FloatArray
    total: FloatArray


def answer_matrix(
    group: IntArray | IndexArray,
    item: IntArray | IndexArray,
    correct: BoolArray,
    shape: tuple[int, int],
) -> AnswerMatrix:
    """Count right answers to each item, then wrong ones, (n_groups, 2·n_items).

    Entries of a row are sorted by column, so products with it do not depend on the order of the answers.

    Parameters
    ----------
    group, item, correct
        Learner or group, item and verdict of each answer, (n_answers,).
    shape
        n_groups and n_items.
    """
    n_groups, n_items = shape
    column = np.where(correct, item, item + n_items)
    ones = np.ones(column.size)
    matrix = coo_array((ones, (group, column)), shape=(n_groups, 2 * n_items)).tocsr()
    matrix.sum_duplicates()
    return matrix


def log_likelihood(answers: AnswerMatrix, log_table: FloatArray) -> FloatArray:
    """Log-likelihood of each group's answers at each node, (n_groups, n_nodes).

    `log_table` holds log P of the items above their log Q, (2·n_items, n_nodes).
    """
    return np.asarray(answers @ log_table)


def expected_counts(answers: AnswerMatrix, posterior: FloatArray) -> NodeCounts:
    """Sum learners' answers over the nodes by their posteriors, (n_users, n_nodes)."""
    both = np.asarray(answers.T @ posterior)
    right, wrong = np.split(both, 2)
    return NodeCounts(right, right + wrong)
