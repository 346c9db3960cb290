"""What must happen to a calibration when its data change in a known way."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtest.irt import Calibration, LinkingConstants, Responses, calibrate
from seedtest.irt.parameters import FloatArray
from tests.irt.simulation import simulate

seeds = st.integers(0, 10_000)
few = settings(max_examples=12, deadline=None)


def sample(seed: int) -> pl.DataFrame:
    """Sixty learners, each with eight answers to twelve items, one in ten of them given twice."""
    frame = simulate(seed, n_users=60, n_items=12, answers_each=8).frame
    return pl.concat([frame, frame.sample(fraction=0.1, seed=seed)])


def fitted(frame: pl.DataFrame) -> Calibration:
    return calibrate(Responses.from_frame(frame))


def arrays(fit: Calibration) -> list[FloatArray]:
    items, abilities = fit.items, fit.abilities
    return [items.a, items.b, items.se_a, items.se_b, abilities.theta, abilities.se]


@few
@given(seed=seeds)
def test_the_order_of_rows_changes_no_bit(seed: int) -> None:
    frame = sample(seed)
    fit, other = fitted(frame), fitted(frame.sample(fraction=1.0, shuffle=True, seed=seed))
    for ours, theirs in zip(arrays(fit), arrays(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (fit.loglik, fit.n_iterations, fit.exclusions) == (
        other.loglik,
        other.n_iterations,
        other.exclusions,
    )


@few
@given(seed=seeds)
def test_the_order_within_responses_changes_no_bit(seed: int) -> None:
    responses = Responses.from_frame(sample(seed))
    order = np.random.default_rng(seed).permutation(len(responses))
    shuffled = Responses.from_arrays(
        responses.user_ids,
        responses.item_ids,
        responses.user[order],
        responses.item[order],
        responses.correct[order],
    )
    for ours, theirs in zip(arrays(calibrate(responses)), arrays(calibrate(shuffled)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@few
@given(seed=seeds)
def test_names_of_learners_and_items_do_not_matter(seed: int) -> None:
    frame = sample(seed)
    mirrored = frame.with_columns(pl.col("user_id", "item_id").str.reverse())
    fit, other = fitted(frame), fitted(mirrored)
    at = other.items.index_of([item_id[::-1] for item_id in fit.items.item_ids])
    np.testing.assert_allclose(fit.items.a, other.items.a[at], atol=1e-4)
    np.testing.assert_allclose(fit.items.b, other.items.b[at], atol=1e-4)
    assert fit.loglik == pytest.approx(other.loglik, abs=1e-6)


@few
@given(seed=seeds)
def test_every_learner_twice_doubles_the_log_likelihood_and_keeps_the_estimates(seed: int) -> None:
    frame = simulate(seed, n_users=260, n_items=6).frame
    twins = frame.with_columns(pl.col("user_id") + "-twin")
    # Both fits end where a step is below the tolerance, so they must be near enough to the maximum for this.
    fit = calibrate(Responses.from_frame(frame), item_priors=None, tolerance=1e-8)
    double = calibrate(Responses.from_frame(pl.concat([frame, twins])), item_priors=None, tolerance=1e-8)
    assert double.loglik == pytest.approx(2 * fit.loglik, abs=1e-6)
    np.testing.assert_allclose(double.items.a, fit.items.a, atol=1e-3)
    np.testing.assert_allclose(double.items.se_a, fit.items.se_a / np.sqrt(2), rtol=1e-2)


@few
@given(seed=seeds)
def test_reversed_answers_flip_difficulties_and_abilities(seed: int) -> None:
    frame = sample(seed)
    fit, flipped = fitted(frame), fitted(frame.with_columns(~pl.col("correct")))
    np.testing.assert_allclose(flipped.items.a, fit.items.a, atol=1e-4)
    np.testing.assert_allclose(flipped.items.b, -fit.items.b, atol=1e-4)
    np.testing.assert_allclose(flipped.abilities.theta, -fit.abilities.theta, atol=1e-4)
    np.testing.assert_allclose(flipped.abilities.se, fit.abilities.se, atol=1e-4)


@few
@given(seed=seeds)
def test_items_learners_and_answers_are_all_accounted_for(seed: int) -> None:
    frame = simulate(seed, n_users=40, n_items=30, answers_each=3).frame
    fit = fitted(frame)
    out = {(exclusion.kind.value, exclusion.id) for exclusion in fit.exclusions}
    items = {("item", item_id) for item_id in fit.items.item_ids}
    users = {("user", user_id) for user_id in fit.abilities.user_ids}
    everything = {("item", i) for i in frame["item_id"]} | {("user", u) for u in frame["user_id"]}
    assert out | items | users == everything
    assert not out & (items | users)
    assert fit.n_observations == fit.items.n.sum() == fit.abilities.n.sum()
    assert all(np.isfinite(values).all() for values in arrays(fit))


@few
@given(seed=seeds, slope=st.floats(0.2, 5.0), intercept=st.floats(-3.0, 3.0))
def test_a_linked_fit_predicts_the_same_answers(seed: int, slope: float, intercept: float) -> None:
    fit = fitted(sample(seed))
    linked = fit.linked(LinkingConstants(slope, intercept))
    logit = fit.items.a * (fit.abilities.theta[:, None] - fit.items.b)
    np.testing.assert_allclose(
        linked.items.a * (linked.abilities.theta[:, None] - linked.items.b), logit, atol=1e-9
    )
    assert linked.prior.mean == pytest.approx(intercept)
    assert linked.prior.sd == pytest.approx(slope)
    assert (linked.loglik, linked.aic, linked.bic) == (fit.loglik, fit.aic, fit.bic)


def test_progress_is_told_of_every_step_up_to_the_last() -> None:
    steps: list[tuple[int, float, float]] = []
    fit = calibrate(
        simulate(1, n_users=200, n_items=20).responses,
        progress=lambda iteration, loglik, change: steps.append((iteration, loglik, change)),
    )
    iterations, logliks, changes = zip(*steps, strict=True)
    assert iterations == tuple(range(1, fit.n_iterations + 1))
    assert logliks[-1] == pytest.approx(fit.loglik, abs=1e-4)
    assert logliks[-1] > logliks[0]
    assert changes[-1] == fit.criterion <= 1e-6


def test_starting_values_decide_the_time_and_not_the_result() -> None:
    simulation = simulate(2, n_users=400, n_items=10)
    cold = calibrate(simulation.responses)
    warm = calibrate(simulation.responses, start=cold.items)
    assert warm.n_iterations < cold.n_iterations
    np.testing.assert_allclose(warm.items.b, cold.items.b, atol=1e-4)


def test_a_cut_off_fit_is_returned_and_says_so() -> None:
    fit = calibrate(simulate(3, n_users=300, n_items=20).responses, max_iterations=2)
    assert not fit.converged
    assert fit.n_iterations == 2
    assert fit.criterion > 1e-6
    assert all(np.isfinite(values).all() for values in arrays(fit))
