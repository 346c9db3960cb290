"""Abilities from answers and known item parameters: expected a posteriori (Bock & Mislevy, 1982)."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from seedtest.errors import DataError
from seedtest.irt.answers import AnswerMatrix, answer_matrix, log_likelihood
from seedtest.irt.model import log_probabilities
from seedtest.irt.parameters import (
    STANDARD_NORMAL,
    AbilityEstimate,
    FloatArray,
    GroupScores,
    ItemParameters,
    Prior,
)
from seedtest.irt.quadrature import DEFAULT_N_NODES, Quadrature, normal_grid, posterior

CELLS_PER_CHUNK = 1_000_000
"""Groups × nodes worked on at once: 8 MB a temporary array."""

FINER = 8
"""A posterior narrower than the grid can show is integrated again on a grid this many times as fine."""

NARROWEST_SD_STEPS = 0.75
"""The trapezoid rule loses digits once a posterior's SD is below about 0.75 steps (error 3e-5 of it)."""


def score(
    items: ItemParameters,
    item_ids: pl.Series | Sequence[str],
    correct: ArrayLike,
    prior: Prior = STANDARD_NORMAL,
) -> AbilityEstimate:
    """EAP of one learner from answers to items by id, each (n_answers,).

    Answers to items without parameters do not count; with none that counts θ and SE are NaN and n is 0.
    """
    item = items.index_of(item_ids)
    one = score_groups(items, np.zeros(len(item), dtype=np.int32), item, correct, 1, prior)
    return AbilityEstimate(float(one.theta[0]), float(one.se[0]), int(one.n[0]))


def score_groups(
    items: ItemParameters,
    group: ArrayLike,
    item: ArrayLike,
    correct: ArrayLike,
    n_groups: int,
    prior: Prior = STANDARD_NORMAL,
) -> GroupScores:
    """EAP of every group of answers: a learner, a learner's topic, a learner's window of days.

    θ̂ = Σ_k x_k·p_k and SE² = Σ_k (x_k − θ̂)²·p_k, where p_k ∝ w_k·Π P(answer | x_k) over the group's
    answers and the even grid x_k of the prior.

    Parameters
    ----------
    items
        Parameters of the items.
    group, item, correct
        Group number, position in `items` (−1: not calibrated, ignored) and right or wrong, (n_answers,).
    n_groups
        How many groups there are, with or without answers.
    prior
        Ability distribution.

    Returns
    -------
    GroupScores
        Each (n_groups,). A group's numbers depend on its own answers alone, to the last bit: not on
        other groups, nor on the order of rows. Without a counted answer: NaN, NaN, 0.

    Raises
    ------
    DataError
        For parameters that are not finite, c outside [0, 1), or group or item numbers out of range.
    """
    _require_usable(items)
    answers = _counted(group, item, correct, (n_groups, len(items)))
    n = np.asarray(answers.sum(axis=1)).astype(np.int64)
    theta, se = np.full(n_groups, np.nan), np.full(n_groups, np.nan)
    grid = normal_grid(prior)
    answered = np.flatnonzero(n)
    _fill(theta, se, answered, answers, items, grid)
    narrow = answered[se[answered] < NARROWEST_SD_STEPS * grid.step]
    _fill(theta, se, narrow, answers, items, normal_grid(prior, FINER * (DEFAULT_N_NODES - 1) + 1))
    return GroupScores(theta, se, n)


def _counted(group: ArrayLike, item: ArrayLike, correct: ArrayLike, shape: tuple[int, int]) -> AnswerMatrix:
    groups, items = np.asarray(group, dtype=np.int64), np.asarray(item, dtype=np.int64)
    verdicts = np.asarray(correct, dtype=np.bool_)
    n_groups, n_items = shape
    if not groups.shape == items.shape == verdicts.shape:
        raise DataError(
            f"There are {groups.size} groups, {items.size} items and {verdicts.size} verdicts; "
            "every answer needs one of each."
        )
    if groups.size and not (0 <= groups.min() <= groups.max() < n_groups and items.max() < n_items):
        raise DataError(f"An answer points outside the {n_groups} groups or the {n_items} items given.")
    known = items >= 0
    return answer_matrix(groups[known], items[known], verdicts[known], shape)


def _fill(
    theta: FloatArray,
    se: FloatArray,
    rows: NDArray[np.int64],
    answers: AnswerMatrix,
    items: ItemParameters,
    grid: Quadrature,
) -> None:
    table = log_probabilities(items, grid.nodes)
    for chunk in _chunks(rows, CELLS_PER_CHUNK // grid.nodes.size):
        weights, _ = posterior(log_likelihood(answers[chunk], table), grid)
        mean = (weights * grid.nodes).sum(axis=1)
        theta[chunk] = mean
        se[chunk] = np.sqrt((weights * (grid.nodes - mean[:, None]) ** 2).sum(axis=1))


def _chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, rows.size, size):
        yield rows[start : start + size]


def _require_usable(items: ItemParameters) -> None:
    finite = np.isfinite(items.a) & np.isfinite(items.b) & np.isfinite(items.c)
    usable = finite & (items.c >= 0) & (items.c < 1)
    if not usable.all():
        bad = int(np.flatnonzero(~usable)[0])
        raise DataError(
            f"Item {items.item_ids[bad]!r} cannot be scored with a={items.a[bad]}, b={items.b[bad]}, "
            f"c={items.c[bad]}: parameters must be finite and 0 <= c < 1. Leave the item out."
        )
