"""Bias and coverage over a hundred replications: the same items, new learners and answers every time.

Bias is measured in Monte Carlo standard errors, those of the mean over replications of what a replication is
off by on average; its answers share a sample of learners, so they are no independent trials.

Maximum likelihood is unbiased only in the limit. Where an item has few answers, log a is still without
bias, so that a itself is too large by SE²/(2a): Jensen's inequality. b is found stretched outwards by the
same share of itself, SE(a)²/(2a²). At 2,000 answers an item and 20 items both are hidden by the Monte Carlo
error. At 800 answers and 250 items they are seven times it (+0.9 % of a), and are taken off before the rest
is judged.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from seedtest.irt import Calibration, ErrorKind, ItemParameters, Responses, calibrate
from seedtest.irt.parameters import FloatArray
from tests.irt.simulation import draw_answers, draw_items

N_REPLICATIONS = 100
MOST_STANDARD_ERRORS = 3.0
Z_95 = 1.959964


@dataclass(frozen=True)
class Study:
    """A design to replicate."""

    seed: int
    n_users: int
    n_items: int
    answers_each: int


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates of one kind with their standard errors, and the truth, each (n_replications, n)."""

    value: FloatArray
    se: FloatArray
    truth: FloatArray

    @property
    def error(self) -> FloatArray:
        return self.value - self.truth

    @property
    def coverage(self) -> float:
        """Share of 95 % intervals that hold the truth, over all replications."""
        return float((np.abs(self.error) <= Z_95 * self.se).mean())


@dataclass(frozen=True, eq=False)
class Replications:
    """What a hundred calibrations found."""

    a: Estimates
    b: Estimates
    theta: Estimates


def bias_in_standard_errors(error: FloatArray) -> float:
    """Mean over replications, (n_replications, n), divided by its Monte Carlo standard error."""
    means = error.mean(axis=1)
    return float(means.mean() / (means.std(ddof=1) / np.sqrt(means.size)))


def share_within_two_standard_errors(error: FloatArray) -> float:
    """Share of columns whose mean is within two of its Monte Carlo standard errors of 0."""
    se = error.std(axis=0, ddof=1) / np.sqrt(len(error))
    return float((np.abs(error.mean(axis=0)) <= 2 * se).mean())


def replicated(study: Study, expected: ErrorKind) -> Replications:
    rng = np.random.default_rng(study.seed)
    items = draw_items(rng, study.n_items)
    users = tuple(f"u{number:05}" for number in range(study.n_users))
    fits, truths = [], []
    for _ in range(N_REPLICATIONS):
        theta = rng.standard_normal(study.n_users)
        answers = draw_answers(rng, items, theta, study.answers_each)
        responses = Responses.from_arrays(users, items.item_ids, answers.user, answers.item, answers.correct)
        fit = calibrate(responses, item_priors=None)
        assert fit.converged
        assert fit.exclusions == ()
        assert fit.error_kind is expected
        fits.append(fit)
        truths.append(theta)
    return collected(fits, items, np.stack(truths))


def collected(fits: list[Calibration], items: ItemParameters, theta: FloatArray) -> Replications:
    def stacked(name: str) -> Estimates:
        value = np.stack([getattr(fit.items, name) for fit in fits])
        se = np.stack([getattr(fit.items, f"se_{name}") for fit in fits])
        return Estimates(value, se, np.broadcast_to(getattr(items, name), value.shape))

    eap, sd = (np.stack([getattr(fit.abilities, name) for fit in fits]) for name in ("theta", "se"))
    return Replications(stacked("a"), stacked("b"), Estimates(eap, sd, theta))


@pytest.mark.heavy
def test_estimates_from_dense_answers_are_unbiased_and_their_intervals_cover() -> None:
    found = replicated(Study(seed=1, n_users=2_000, n_items=20, answers_each=20), ErrorKind.FULL)
    for estimates in (found.a, found.b, found.theta):
        assert abs(bias_in_standard_errors(estimates.error)) <= MOST_STANDARD_ERRORS
        assert 0.93 <= estimates.coverage <= 0.97


@pytest.mark.heavy
def test_estimates_from_sparse_answers_are_unbiased_and_their_intervals_cover() -> None:
    found = replicated(Study(seed=2, n_users=10_000, n_items=250, answers_each=20), ErrorKind.BLOCK)
    share = found.a.se**2 / (2 * found.a.value**2)
    a_rest, b_rest = found.a.error - share * found.a.value, found.b.error - share * found.b.value
    outwards = b_rest * np.sign(found.b.truth)
    log_ratio = np.log(found.a.value / found.a.truth)
    for error in (a_rest, log_ratio, found.b.error, b_rest, outwards, found.theta.error):
        assert abs(bias_in_standard_errors(error)) <= MOST_STANDARD_ERRORS
    for error in (a_rest, b_rest):
        assert share_within_two_standard_errors(error) >= 0.9
    assert abs(found.a.error.mean()) <= 0.01
    for estimates in (found.a, found.b, found.theta):
        assert 0.93 <= estimates.coverage <= 0.97
