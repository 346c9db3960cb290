"""Marginal maximum likelihood by EM (Bock & Aitkin, 1981), accelerated by SQUAREM."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit

from seedtest.irt.answers import AnswerMatrix, NodeCounts, expected_counts, log_likelihood
from seedtest.irt.maximisation import clip_slopes, logits, maximise
from seedtest.irt.parameters import FloatArray
from seedtest.irt.priors import Penalty
from seedtest.irt.quadrature import Quadrature, posterior

Progress = Callable[[int, float, float], None]
"""Called after every EM step with the iteration, the log-likelihood and the largest change (logits)."""

ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Expectation:
    """The E-step: posteriors over the nodes, (n_users, n_nodes), the counts they give, and loglik."""

    posterior: FloatArray
    counts: NodeCounts
    loglik: float


@dataclass(frozen=True, slots=True)
class Stopping:
    """When EM ends: a step changes no slope or intercept by more than `tolerance`, or enough is enough."""

    max_iterations: int
    tolerance: float
    progress: Progress | None = None


@dataclass(frozen=True, eq=False)
class EmFit:
    """Lines a·θ + d at the end, (n_items, 2), with the E-step there, its grid and how EM ended."""

    lines: FloatArray
    grid: Quadrature
    expectation: Expectation
    n_iterations: int
    converged: bool
    criterion: float


def expect(answers: AnswerMatrix, lines: FloatArray, grid: Quadrature) -> Expectation:
    """Posteriors, expected counts and marginal log-likelihood at given lines, (n_items, 2)."""
    z = logits(lines, grid.nodes)
    table = np.vstack([log_expit(z), log_expit(-z)])
    weights, marginal = posterior(log_likelihood(answers, table), grid)
    return Expectation(weights, expected_counts(answers, weights), float(marginal.sum()))


def fit(
    answers: AnswerMatrix,
    start: FloatArray,
    penalty: Penalty,
    grid: Quadrature,
    stopping: Stopping,
    iterations_before: int = 0,
) -> EmFit:
    """Maximise marginal log-likelihood minus penalty over the items' slopes and intercepts.

    Every iteration is one full EM step, E and M; an extrapolation only chooses where the next one
    starts, so the size of the step is an honest measure of what is left. Deterministic: it depends
    on the answers, not on their order.

    Parameters
    ----------
    answers
        Counts of right and wrong answers, (n_users, 2·n_items).
    start
        Slopes and intercepts to start from, (n_items, 2).
    penalty
        Prior on the items.
    grid
        Nodes and weights of the ability distribution.
    stopping
        Tolerance, limit and progress callback.
    iterations_before
        Iterations of earlier fits, for the numbers that the callback is given.
    """
    accelerator, lines = _Squarem(penalty), start
    iteration, change, converged, done = 0, np.inf, False, False
    while not done:
        iteration += 1
        expectation = expect(answers, lines, grid)
        proposal = maximise(expectation.counts, grid.nodes, lines, penalty)
        change = float(np.abs(proposal - lines).max())
        if stopping.progress is not None:
            stopping.progress(iterations_before + iteration, expectation.loglik, change)
        objective = expectation.loglik - float(penalty.value(lines).sum())
        rejected = accelerator.rejects(objective)
        converged = change <= stopping.tolerance and not rejected
        done = converged or iteration == stopping.max_iterations
        # The result is an EM step, never an extrapolation that has not proved itself.
        sound = done and not rejected
        lines = proposal if sound else accelerator.next_start(lines, objective, proposal)
    return EmFit(lines, grid, expect(answers, lines, grid), iteration, converged, change)


class _Squarem:
    """Squared extrapolation of EM steps with a likelihood guard (Varadhan & Roland, 2008, scheme S3).

    Two EM steps p₀ → p₁ → p₂ with r = p₁ − p₀ and v = (p₂ − p₁) − r give the next start
    p₀ − 2αr + α²v, α = −max(1, |r|/|v|). If the objective there is below that of p₁, p₂ is taken instead.
    """

    def __init__(self, penalty: Penalty) -> None:
        self._penalty = penalty
        self._first: FloatArray | None = None
        self._retreat: FloatArray | None = None
        self._floor = -np.inf

    def rejects(self, objective: float) -> bool:
        """Whether the point is an extrapolation that lost likelihood."""
        return self._retreat is not None and not objective >= self._floor

    def next_start(self, lines: FloatArray, objective: float, proposal: FloatArray) -> FloatArray:
        """Where the next EM step starts, given the last one from `lines` to `proposal`."""
        if self._retreat is not None and self.rejects(objective):
            retreat, self._retreat = self._retreat, None
            return retreat
        self._retreat = None
        if self._first is None:
            self._first = lines
            return proposal
        first, self._first = self._first, None
        self._retreat, self._floor = proposal, objective - ROUNDING * abs(objective)
        return self._admissible(_extrapolated(first, lines, proposal), proposal)

    def _admissible(self, lines: FloatArray, fallback: FloatArray) -> FloatArray:
        outside = self._penalty.applies & (lines[:, 0] <= 0)
        return clip_slopes(np.where(outside[:, None], fallback, lines))


def _extrapolated(p0: FloatArray, p1: FloatArray, p2: FloatArray) -> FloatArray:
    r = p1 - p0
    v = p2 - p1 - r
    curvature = np.sqrt((v**2).sum())
    if curvature == 0:
        return p2
    alpha = -max(1.0, np.sqrt((r**2).sum()) / curvature)
    return np.asarray(p0 - 2 * alpha * r + alpha**2 * v)
