"""Simulated parameters are recovered from sparse answers."""

import numpy as np
import pytest

from seedtest.irt import Calibration, ItemPriors, Prior, calibrate, link
from seedtest.irt.parameters import FloatArray
from tests.irt.simulation import Simulation, simulate


def correlation(x: FloatArray, y: FloatArray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def rmse(x: FloatArray, y: FloatArray) -> float:
    return float(np.sqrt(np.mean((x - y) ** 2)))


@pytest.fixture(scope="module")
def cohort() -> Simulation:
    return simulate(seed=11, n_users=500, n_items=150, answers_each=60, sd_log_a=0.45)


@pytest.fixture(scope="module")
def linked(cohort: Simulation) -> Calibration:
    """Fitted freely and put on the scale of thirty anchors."""
    fit = calibrate(cohort.responses)
    anchors = cohort.items.select(np.arange(150) < 30)
    constants = link(fit.items, anchors).constants
    assert constants is not None
    return fit.linked(constants)


def test_five_hundred_learners_with_sixty_answers_each_are_enough(
    cohort: Simulation, linked: Calibration
) -> None:
    assert linked.exclusions == ()
    assert correlation(linked.items.b, cohort.items.b) >= 0.95
    assert correlation(linked.items.a, cohort.items.a) >= 0.85
    assert correlation(linked.abilities.theta, cohort.theta) >= 0.90


def test_the_linked_scale_is_that_of_the_anchors(cohort: Simulation, linked: Calibration) -> None:
    assert abs(np.mean(linked.abilities.theta - cohort.theta)) < 0.1
    assert abs(np.mean(linked.items.b - cohort.items.b)) < 0.1


def test_standard_errors_cover_the_truth(cohort: Simulation) -> None:
    fit = calibrate(cohort.responses)
    for estimate, error, truth in (
        (fit.items.a, fit.items.se_a, cohort.items.a),
        (fit.items.b, fit.items.se_b, cohort.items.b),
        (fit.abilities.theta, fit.abilities.se, cohort.theta),
    ):
        covered = np.abs(estimate - truth) <= 1.96 * error
        assert 0.90 <= covered.mean() <= 0.99


def test_the_prior_helps_where_answers_are_few() -> None:
    thin = simulate(seed=12, n_users=300, n_items=150, answers_each=20)
    fit = calibrate(thin.responses)
    free = calibrate(thin.responses, item_priors=None)
    ours, theirs = (thin.items.index_of(x.items.item_ids) for x in (fit, free))
    assert rmse(fit.items.a, thin.items.a[ours]) < 0.5 * rmse(free.items.a, thin.items.a[theirs])
    assert rmse(fit.items.b, thin.items.b[ours]) < 0.7 * rmse(free.items.b, thin.items.b[theirs])


def test_the_prior_is_off_from_its_limit_on() -> None:
    simulation = simulate(seed=13, n_users=300, n_items=8)
    at_limit = ItemPriors(Prior(0.0, 0.1), Prior(0.0, 0.1), below_n=300)
    above = ItemPriors(Prior(0.0, 0.1), Prior(0.0, 0.1), below_n=301)
    free = calibrate(simulation.responses, item_priors=None)
    np.testing.assert_array_equal(calibrate(simulation.responses, item_priors=at_limit).items.b, free.items.b)
    held = calibrate(simulation.responses, item_priors=above)
    assert np.abs(held.items.b).max() < np.abs(free.items.b).max()
