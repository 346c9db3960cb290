"""Abilities from answers and known item parameters: EAP (Bock & Mislevy, 1982), MAP, ML and WLE."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import repeat

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy.special import logit

from seedtest.errors import DataError
from seedtest.irt.compiled import kernels
from seedtest.irt.parameters import (
    STANDARD_NORMAL,
    AbilityEstimate,
    BoolArray,
    FloatArray,
    GroupScores,
    IndexArray,
    IntArray,
    ItemParameters,
    Prior,
)
from seedtest.irt.quadrature import DEFAULT_N_NODES, Quadrature, normal_grid
from seedtest.irt.responses import Responses, rows_of_codes
from seedtest.irt.rows import Rows, cut, in_threads, threads_for

FINER = 8
"""A posterior narrower than the grid can show is integrated again on a grid this many times as fine."""

NARROWEST_SD_STEPS = 0.75
"""The trapezoid rule loses digits once a posterior's SD is below about 0.75 steps (error 3e-5 of it)."""

FIRST = np.zeros(1, dtype=np.int64)

DEFAULT_BOUNDS = (-6.0, 6.0)


class ScoringMethod(StrEnum):
    """How θ is estimated.

    EAP: mean of the posterior, SE its standard deviation. MAP: mode of the posterior, SE 1/√(I + 1/σ²).
    ML: maximum of the likelihood within bounds, SE 1/√I. WLE: Warm's (1989) weighted likelihood, finite
    also when everything is right, SE 1/√I. I is Fisher's information at the estimate.
    """

    EAP = "EAP"
    MAP = "MAP"
    ML = "ML"
    WLE = "WLE"


@dataclass(frozen=True, eq=False)
class Scorer:
    """Items, prior and method made ready for many calls.

    Attributes
    ----------
    items
        Parameters of the items.
    prior
        Ability distribution: N(0, 1), that of a fit, or a learner's last posterior when only new
        answers are given (`AbilityEstimate.as_prior`).
    method
        EAP, MAP, ML or WLE.
    bounds
        Range of ML and WLE estimates (logits): the estimate is a bound where the likelihood still rises.

    Raises
    ------
    DataError
        For parameters that are not finite, c outside [0, 1), or bounds that are none.
    """

    items: ItemParameters
    prior: Prior = STANDARD_NORMAL
    method: ScoringMethod = ScoringMethod.EAP
    bounds: tuple[float, float] = DEFAULT_BOUNDS

    def __post_init__(self) -> None:
        _require_usable(self.items)
        if not -np.inf < self.bounds[0] < self.bounds[1] < np.inf:
            raise DataError(
                f"Abilities cannot be bounded by {self.bounds}: give a lower and a higher number."
            )

    def one(self, item_ids: Sequence[str], correct: Sequence[bool] | BoolArray) -> AbilityEstimate:
        """Ability of one learner from answers to items by id, each (n_answers,).

        Answers to items without parameters do not count; without any that counts: NaN, NaN, 0.
        """
        positions = map(self._position.get, item_ids, repeat(-1))
        item = np.fromiter(positions, np.int32, len(item_ids))
        verdict = np.asarray(correct, dtype=np.bool_)
        if item.shape != verdict.shape:
            raise DataError(f"{item.size} items and {verdict.size} verdicts; every answer needs both.")
        start, code = np.empty(2, dtype=np.int64), np.empty(item.size, dtype=np.int32)
        self._row_of_one(item, verdict, start, code)
        n = int(start[1])
        if n == 0:
            return AbilityEstimate(np.nan, np.nan, 0)
        if self.method is ScoringMethod.EAP:
            grid, theta, se = self._grid, np.empty(1), np.empty(1)
            # The loop that scores many learners, called for one: the same code gives the same bits.
            self._eap(start, code, FIRST, self._table, grid.nodes, grid.log_weights, theta, se)
            if not se[0] < NARROWEST_SD_STEPS * grid.step:
                return AbilityEstimate(float(theta[0]), float(se[0]), n)
        scores = self.rows(Rows(start, code[:n]))
        return AbilityEstimate(float(scores.theta[0]), float(scores.se[0]), n)

    def rows(self, rows: Rows, n_threads: int | None = None) -> GroupScores:
        """Abilities of rows of sorted codes over these items, each result (n_rows,)."""
        n = np.diff(rows.start)
        theta, se = np.full(n.size, np.nan), np.full(n.size, np.nan)
        threads = threads_for(rows.code.size, n_threads)
        coarse = self._table, self._grid.nodes, self._grid.log_weights
        eap = kernels("scoring").eap

        def integrate(chosen: IntArray) -> None:
            eap(rows.start, rows.code, chosen, *coarse, theta, se)

        in_threads(integrate, np.array_split(np.arange(n.size), threads))
        narrow = np.flatnonzero(se < NARROWEST_SD_STEPS * self._grid.step)
        if narrow.size:
            self._integrate_finely(rows, narrow, theta, se, threads)
        if self.method is not ScoringMethod.EAP:
            self._maximise(rows, theta, se, threads)
        return GroupScores(theta, se, n)

    def _integrate_finely(
        self, rows: Rows, chosen: IntArray, theta: FloatArray, se: FloatArray, n_threads: int
    ) -> None:
        grid = normal_grid(self.prior, FINER * (DEFAULT_N_NODES - 1) + 1)
        coarse = self._table, self._grid.nodes, self._grid.log_weights
        table, place = self._fine_table(rows, chosen, grid)
        fine = table, grid.nodes, grid.log_weights, place
        eap = kernels("scoring").eap_finely
        in_threads(
            lambda part: eap(rows.start, rows.code, part, coarse, fine, FINER, theta, se),
            np.array_split(chosen, n_threads),
        )

    def _fine_table(self, rows: Rows, chosen: IntArray, grid: Quadrature) -> tuple[FloatArray, IntArray]:
        """Return log Q and log P at a fine grid for the items of the chosen rows, and each code's place.

        Few rows need it: all items' table would take longer than they do.
        """
        is_chosen = np.zeros(rows.start.size - 1, dtype=np.bool_)
        is_chosen[chosen] = True
        answered = rows.code[np.repeat(is_chosen, np.diff(rows.start))] // 2
        used = np.zeros(len(self.items), dtype=np.bool_)
        used[answered] = True
        wrong = 2 * (np.cumsum(used) - 1)
        return _log_table(self.items.select(used), grid), np.stack([wrong, wrong + 1], axis=1).ravel()

    def _maximise(self, rows: Rows, theta: FloatArray, se: FloatArray, n_threads: int) -> None:
        scoring = kernels("scoring")
        items = np.stack([self.items.a, self.items.b, self.items.c], axis=1)
        prior = np.array([self.prior.mean, self.prior.sd**-2])
        method = getattr(scoring, self.method.value)
        unbounded = (-1e3 * self.prior.sd + self.prior.mean, 1e3 * self.prior.sd + self.prior.mean)
        bounds = unbounded if self.method is ScoringMethod.MAP else self.bounds
        limits = np.array(bounds)
        estimate = scoring.point_estimates
        in_threads(
            lambda part: estimate(
                rows.start, rows.code, part.first, part.last, items, prior, limits, method, theta, se
            ),
            cut(rows, n_threads),
        )

    @cached_property
    def _position(self) -> dict[str, int]:
        return {item_id: at for at, item_id in enumerate(self.items.item_ids)}

    @cached_property
    def _grid(self) -> Quadrature:
        return normal_grid(self.prior)

    @cached_property
    def _table(self) -> FloatArray:
        return _log_table(self.items, self._grid)

    @cached_property
    def _row_of_one(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a compiled function
        return kernels("scoring").row_of_one

    @cached_property
    def _eap(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a compiled function
        return kernels("scoring").eap


def score(
    items: ItemParameters,
    item_ids: pl.Series | Sequence[str],
    correct: ArrayLike,
    prior: Prior = STANDARD_NORMAL,
    method: ScoringMethod | str = ScoringMethod.EAP,
) -> AbilityEstimate:
    """Ability of one learner from answers to items by id, each (n_answers,).

    Answers to items without parameters do not count; with none that counts θ and SE are NaN and n is 0.
    With the last estimate's `as_prior()` for a prior only the answers since then are needed. For many calls
    with the same items make a `Scorer`: it takes microseconds.
    """
    _require_usable(items)
    used = np.zeros(len(items), dtype=np.bool_)
    at = items.index_of(item_ids)
    used[at[at >= 0]] = True
    return Scorer(items.select(used), prior, known_method(method)).one(list(item_ids), np.asarray(correct))


def score_groups(
    items: ItemParameters,
    group: ArrayLike,
    item: ArrayLike,
    correct: ArrayLike,
    n_groups: int,
    prior: Prior = STANDARD_NORMAL,
    method: ScoringMethod | str = ScoringMethod.EAP,
) -> GroupScores:
    """Ability of every group of answers: a learner, a learner's topic, a learner's window of days.

    EAP: θ̂ = Σ_k x_k·p_k and SE² = Σ_k (x_k − θ̂)²·p_k, where p_k ∝ w_k·Π P(answer | x_k) over the group's
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
    method
        EAP, MAP, ML or WLE.

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
    scorer = Scorer(items, prior, known_method(method))
    groups, numbers = np.asarray(group), np.asarray(item)
    verdicts = np.asarray(correct, dtype=np.bool_)
    if not groups.shape == numbers.shape == verdicts.shape:
        raise DataError(
            f"There are {groups.size} groups, {numbers.size} items and {verdicts.size} verdicts; "
            "every answer needs one of each."
        )
    if groups.size and not (0 <= groups.min() <= groups.max() < n_groups and numbers.max() < len(items)):
        raise DataError(f"An answer points outside the {n_groups} groups or the {len(items)} items given.")
    start, code = rows_of_codes(_compact(groups), _compact(numbers), verdicts, n_groups)
    return scorer.rows(Rows(start, code))


def score_responses(
    items: ItemParameters,
    responses: Responses,
    prior: Prior = STANDARD_NORMAL,
    method: ScoringMethod | str = ScoringMethod.EAP,
) -> GroupScores:
    """Ability of every learner of the responses, (n_users,); answers to other items do not count."""
    scorer = Scorer(items, prior, known_method(method))
    at = items.index_of(responses.item_ids)
    if np.array_equal(at, np.arange(len(items))):
        return scorer.rows(Rows(responses.start, responses.code))
    return score_groups(
        items, responses.user, at[responses.item], responses.correct, responses.n_users, prior, method
    )


def known_method(method: ScoringMethod | str) -> ScoringMethod:
    """Return the method, or say which there are."""
    try:
        return ScoringMethod(method)
    except ValueError as error:
        raise DataError(
            f"Unknown scoring method {method!r}; choose one of {', '.join(ScoringMethod)}."
        ) from error


def _compact(index: IntArray | IndexArray) -> IndexArray:
    return np.ascontiguousarray(index, dtype=np.int32)


def _log_table(items: ItemParameters, grid: Quadrature) -> FloatArray:
    """Log Q and log P at the nodes, two rows an item, (2·n_items, n_nodes)."""
    with np.errstate(divide="ignore"):
        logit_c = logit(items.c)
    params = np.stack([items.a, -items.a * items.b, logit_c], axis=1)
    table = np.empty((2 * len(items), grid.nodes.size))
    kernels("estimation").log_table(params, grid.nodes, table, 0, len(items))
    return table


def _require_usable(items: ItemParameters) -> None:
    finite = np.isfinite(items.a) & np.isfinite(items.b) & np.isfinite(items.c)
    usable = finite & (items.c >= 0) & (items.c < 1)
    if not usable.all():
        bad = int(np.flatnonzero(~usable)[0])
        raise DataError(
            f"Item {items.item_ids[bad]!r} cannot be scored with a={items.a[bad]}, b={items.b[bad]}, "
            f"c={items.c[bad]}: parameters must be finite and 0 <= c < 1. Leave the item out."
        )
