"""Fixed-item calibration: anchors' parameters held, mean and standard deviation of ability free."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from seedtest.errors import CalibrationError
from seedtest.irt import ItemParameters, Responses, calibrate, link, probability
from tests.irt.simulation import Simulation, simulate

N_ANCHORS = 10


@pytest.fixture(scope="module")
def cohort() -> Simulation:
    """Learners who are better and more alike than those the anchors come from: N(0.6, 0.7²)."""
    base = simulate(seed=31, n_users=10, n_items=60)
    rng = np.random.default_rng(32)
    theta = rng.normal(0.6, 0.7, 4000)
    taken = rng.random((4000, 60)).argsort(axis=1)[:, :25]
    user, item = np.repeat(np.arange(4000), 25), taken.ravel()
    correct = rng.random(item.size) < probability(base.items, theta)[item, user]
    ids = pl.Series(base.items.item_ids)
    frame = pl.DataFrame({"user_id": user, "item_id": ids.gather(item), "correct": correct})
    return Simulation(frame.with_columns(pl.format("u{}", "user_id").alias("user_id")), base.items, theta)


@pytest.fixture(scope="module")
def anchors(cohort: Simulation) -> ItemParameters:
    return cohort.items.select(np.arange(60) < N_ANCHORS)


def test_anchors_stay_and_ability_is_found_on_their_scale(
    cohort: Simulation, anchors: ItemParameters
) -> None:
    fit = calibrate(cohort.responses, anchors=anchors)
    held = fit.items.index_of(anchors.item_ids)
    np.testing.assert_array_equal(fit.items.a[held], anchors.a)
    np.testing.assert_allclose(fit.items.b[held], anchors.b, rtol=0, atol=0)
    assert fit.prior.mean == pytest.approx(0.6, abs=0.06)
    assert fit.prior.sd == pytest.approx(0.7, abs=0.06)
    assert np.corrcoef(fit.items.b, cohort.items.b)[0, 1] > 0.97
    assert abs(np.mean(fit.items.b - cohort.items.b)) < 0.05
    assert fit.n_parameters == 2 * 50 + 2
    assert fit.converged
    assert fit.n_iterations <= 15


def test_it_agrees_with_a_free_fit_that_is_linked(cohort: Simulation, anchors: ItemParameters) -> None:
    fixed = calibrate(cohort.responses, anchors=anchors)
    free = calibrate(cohort.responses)
    constants = link(free.items, anchors).constants
    assert constants is not None
    linked = free.linked(constants)
    assert np.abs(linked.abilities.theta - fixed.abilities.theta).max() < 0.25
    assert linked.prior.mean == pytest.approx(fixed.prior.mean, abs=0.05)
    assert fixed.loglik < free.loglik


def test_with_all_items_free_to_move_the_anchored_fit_is_the_free_one(cohort: Simulation) -> None:
    free = calibrate(cohort.responses)
    own = free.items.select(np.arange(len(free.items)) < N_ANCHORS)
    again = calibrate(cohort.responses, anchors=own)
    assert again.prior.mean == pytest.approx(0, abs=1e-4)
    assert again.prior.sd == pytest.approx(1, abs=1e-4)
    assert again.loglik == pytest.approx(free.loglik, abs=1e-4)
    np.testing.assert_allclose(again.items.b, free.items.b, atol=1e-3)


def test_a_constant_added_to_anchors_moves_everything_by_it(
    cohort: Simulation, anchors: ItemParameters
) -> None:
    fit = calibrate(cohort.responses, anchors=anchors)
    moved = calibrate(cohort.responses, anchors=replace(anchors, b=anchors.b + 0.5))
    np.testing.assert_allclose(moved.items.b, fit.items.b + 0.5, atol=1e-3)
    np.testing.assert_allclose(moved.abilities.theta, fit.abilities.theta + 0.5, atol=1e-3)
    assert moved.prior.mean == pytest.approx(fit.prior.mean + 0.5, abs=1e-3)
    assert moved.loglik == pytest.approx(fit.loglik, abs=1e-5)


def test_anchors_with_a_lower_asymptote_and_rasch_items_go_together(
    cohort: Simulation, anchors: ItemParameters
) -> None:
    guessed = replace(anchors, c=np.full(N_ANCHORS, 0.1))
    fit = calibrate(cohort.responses, model="Rasch", anchors=guessed)
    held = fit.items.index_of(anchors.item_ids)
    np.testing.assert_array_equal(fit.items.c[held], 0.1)
    assert (np.delete(fit.items.a, held) == 1).all()
    assert fit.converged


def test_anchors_that_cannot_be_estimated_are_held_all_the_same(
    cohort: Simulation, anchors: ItemParameters
) -> None:
    easy = cohort.frame.with_columns(correct=pl.col("correct") | (pl.col("item_id") == "i000"))
    fit = calibrate(Responses.from_frame(easy), anchors=anchors)
    assert "i000" in fit.items.item_ids
    assert not fit.exclusions


def test_anchors_without_answers_do_not_take_part(cohort: Simulation, anchors: ItemParameters) -> None:
    more = ItemParameters.from_values([*anchors.item_ids, "elsewhere"], [*anchors.a, 1.0], [*anchors.b, 0.0])
    fit = calibrate(cohort.responses, anchors=more)
    assert "elsewhere" not in fit.items.item_ids
    np.testing.assert_array_equal(fit.items.b, calibrate(cohort.responses, anchors=anchors).items.b)


def test_a_single_new_item_can_be_calibrated(cohort: Simulation) -> None:
    known = cohort.items.select(np.arange(60) > 0)
    fit = calibrate(cohort.responses, anchors=known)
    assert fit.items.b[0] == pytest.approx(cohort.items.b[0], abs=0.2)


def test_anchors_nobody_answered_are_no_anchors(cohort: Simulation) -> None:
    with pytest.raises(CalibrationError, match="None of the 1 anchors has an answer"):
        calibrate(cohort.responses, anchors=ItemParameters.from_values(["elsewhere"], 1.0, 0.0))


@pytest.mark.parametrize(("a", "b", "c"), [(0.0, 0.0, 0.0), (1.0, np.nan, 0.0), (1.0, 0.0, 1.0)])
def test_anchors_without_sound_parameters_are_named(cohort: Simulation, a: float, b: float, c: float) -> None:
    with pytest.raises(CalibrationError, match="Anchor 'i003'"):
        calibrate(cohort.responses, anchors=ItemParameters.from_values(["i003"], a, b, c))
