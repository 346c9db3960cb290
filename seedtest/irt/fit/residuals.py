"""Infit and outfit: mean squares of residuals over learners' posteriors."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from seedtest.irt.design import to_params
from seedtest.irt.model import log_probabilities
from seedtest.irt.parameters import FloatArray, IntArray, ItemParameters, Prior
from seedtest.irt.quadrature import normal_grid
from seedtest.irt.rows import Answers, threads_for
from seedtest.irt.sweep import Sweep


class Fitted(Protocol):
    """Items and the ability distribution on one scale: a calibration, or what is stored of it."""

    @property
    def items(self) -> ItemParameters:
        """Parameters of the items."""

    @property
    def prior(self) -> Prior:
        """Ability distribution."""


@dataclass(frozen=True, eq=False)
class MeanSquares:
    """Infit and outfit of items, 1 on average when the model holds.

    Attributes
    ----------
    item_ids
        Ids, (n_items,).
    infit
        Squared residuals over their expected variances, (n_items,): weight lies on learners near the item.
    outfit
        Mean of squared standardised residuals, (n_items,): sensitive to surprises far from the item.
    n
        Answers, (n_items,).
    """

    item_ids: tuple[str, ...]
    infit: FloatArray
    outfit: FloatArray
    n: IntArray


def mean_squares(answers: Answers, fitted: Fitted) -> MeanSquares:
    """Infit and outfit (Wright & Masters, 1982) with θ integrated out (Adams & Wu, 2007).

    outfit = Σ E[(x − P)²/(PQ)]/n, infit = Σ E[(x − P)²]/Σ E[PQ], the expectations over each learner's
    posterior. With estimates of θ in its place the values depend on the number of answers; these have
    expectation 1. They need no complete data.

    They show what a Rasch model leaves out (infit below 1: more discriminating than the others).
    Where discriminations are estimated, these take up most of the misfit of an item.
    """
    items = fitted.items
    kept = answers.select_items(np.asarray(items.index_of(answers.item_ids) >= 0))
    known = items.take(items.index_of(kept.item_ids))
    grid = normal_grid(fitted.prior)
    n_threads = threads_for(len(kept))
    with np.errstate(divide="ignore"):
        params = to_params(known)
    with Sweep(kept.blocks(n_threads), len(known), grid, n_threads) as sweep:
        sums = sweep.expect(params).sums
        wrong, right = sums[0::2].copy(), sums[1::2].copy()
    log_p = log_probabilities(known, grid.nodes)
    n_items = len(known)
    p, q = np.exp(log_p[:n_items]), np.exp(log_p[n_items:])
    odds = np.exp(log_p[:n_items] - log_p[n_items:])
    n = (wrong + right).sum(axis=1)
    return MeanSquares(
        known.item_ids,
        infit=(wrong * p**2 + right * q**2).sum(axis=1) / ((wrong + right) * p * q).sum(axis=1),
        outfit=(wrong * odds + right / odds).sum(axis=1) / n,
        n=np.rint(n).astype(np.int64),
    )
