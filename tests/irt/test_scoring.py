"""Abilities from answers and known parameters."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from seedtest.errors import DataError
from seedtest.irt import (
    AbilityEstimate,
    ItemParameters,
    LinkingConstants,
    Prior,
    information,
    probability,
    score,
    score_groups,
)

ITEMS = ItemParameters.from_values(
    ["q1", "q2", "q3", "q4", "q5"],
    a=[0.5, 1.0, 1.5, 2.0, 0.8],
    b=[-1.5, 0.0, 0.4, 1.2, -0.3],
    c=[0.0, 0.0, 0.2, 0.0, 0.25],
)

answers = st.lists(st.tuples(st.integers(-1, 4), st.booleans()), max_size=30)


def by_integration(item: list[int], correct: list[bool], prior: Prior) -> tuple[float, float]:
    """Mean and SD of the posterior by adaptive quadrature."""

    def density(theta: float) -> float:
        p = probability(ITEMS, np.array([theta]))[item, 0]
        likelihood = np.prod(np.where(correct, p, 1 - p))
        return float(likelihood * norm.pdf(theta, prior.mean, prior.sd))

    def moment(power: int) -> float:
        low, high = prior.mean - 8 * prior.sd, prior.mean + 8 * prior.sd
        value, _ = quad(lambda x: x**power * density(x), low, high, epsabs=1e-14, limit=200)
        return float(value)

    total, first, second = moment(0), moment(1), moment(2)
    mean = first / total
    return mean, float(np.sqrt(second / total - mean**2))


@pytest.mark.parametrize("prior", [Prior(), Prior(0.7, 1.6), Prior(-1.0, 0.4)])
def test_eap_is_the_mean_of_the_posterior(prior: Prior) -> None:
    item, correct = [0, 1, 2, 3, 4, 1], [True, True, False, False, True, False]
    estimate = score(ITEMS, [ITEMS.item_ids[i] for i in item], correct, prior)
    theta, se = by_integration(item, correct, prior)
    assert estimate.theta == pytest.approx(theta, abs=1e-6)
    assert estimate.se == pytest.approx(se, abs=1e-6)
    assert estimate.n == 6


def test_thousands_of_answers_are_not_rounded_to_the_grid() -> None:
    rng = np.random.default_rng(3)
    items = ItemParameters.from_values([str(i) for i in range(3000)], 1.5, rng.standard_normal(3000))
    correct = rng.random(3000) < probability(items, np.array([0.537]))[:, 0]
    estimate = score(items, items.item_ids, correct)
    fine = np.linspace(0.3, 0.8, 2_001)
    p = probability(items, fine)
    logged = np.where(correct[:, None], np.log(p), np.log1p(-p)).sum(axis=0) - fine**2 / 2
    weight = np.exp(logged - logged.max())
    mean = np.average(fine, weights=weight)
    assert estimate.theta == pytest.approx(mean, abs=1e-5)
    assert estimate.se == pytest.approx(np.sqrt(np.average((fine - mean) ** 2, weights=weight)), abs=1e-5)


def test_answers_to_items_without_parameters_do_not_count() -> None:
    known = score(ITEMS, ["q1", "q4"], [True, False])
    assert score(ITEMS, ["q1", "nobody's", "q4"], [True, True, False]) == known


def test_without_a_counted_answer_there_is_no_ability() -> None:
    for estimate in (score(ITEMS, [], []), score(ITEMS, ["nobody's"], [True])):
        assert np.isnan([estimate.theta, estimate.se]).all()
        assert estimate.n == 0


def test_without_any_item_there_is_no_ability() -> None:
    scores = score_groups(ItemParameters.from_values([], [], []), [0, 1], [-1, -1], [True, False], 2)
    assert np.isnan(scores.theta).all()
    assert list(scores.n) == [0, 0]


@settings(deadline=None)
@given(given_answers=answers.filter(bool), at=st.integers(0, 1000))
def test_a_right_answer_instead_of_a_wrong_one_never_lowers_theta(
    given_answers: list[tuple[int, bool]], at: int
) -> None:
    item = np.array([i for i, _ in given_answers])
    worse = np.array([right for _, right in given_answers])
    better = worse.copy()
    worse[at % item.size], better[at % item.size] = False, True
    pair = score_groups(
        ITEMS,
        np.repeat([0, 1], item.size),
        np.tile(item, 2),
        np.concatenate([worse, better]),
        2,
    )
    if item[at % item.size] >= 0:
        assert pair.theta[1] > pair.theta[0]
    else:
        np.testing.assert_array_equal(pair.theta[0], pair.theta[1])


@settings(deadline=None)
@given(groups=st.lists(answers, min_size=1, max_size=12), seed=st.integers(0, 1000))
def test_a_groups_bits_depend_on_its_own_answers_alone(
    groups: list[list[tuple[int, bool]]], seed: int
) -> None:
    rows = [(number, item, right) for number, group in enumerate(groups) for item, right in group]
    shuffled = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]
    group, item, correct = zip(*shuffled, strict=True) if rows else ((), (), ())
    together = score_groups(ITEMS, group, item, correct, len(groups))
    for number, own in enumerate(groups):
        alone = score_groups(ITEMS, [0] * len(own), [i for i, _ in own], [right for _, right in own], 1)
        np.testing.assert_array_equal(together.theta[number], alone.theta[0])
        np.testing.assert_array_equal(together.se[number], alone.se[0])
        assert together.n[number] == alone.n[0]


def test_a_group_is_the_same_in_any_chunk() -> None:
    item, correct = np.array([0, 1, 2, 3, 4]), np.array([True, False, True, True, False])
    n_groups = 40_000
    scores = score_groups(
        ITEMS,
        np.repeat(np.arange(n_groups), 5),
        np.tile(item, n_groups),
        np.tile(correct, n_groups),
        n_groups,
    )
    alone = score(ITEMS, ITEMS.item_ids, correct)
    assert set(scores.theta) == {alone.theta}
    assert set(scores.se) == {alone.se}


@settings(deadline=None)
@given(own=answers.filter(bool), slope=st.floats(0.3, 3.0), intercept=st.floats(-2.0, 2.0))
def test_scoring_and_linking_commute(own: list[tuple[int, bool]], slope: float, intercept: float) -> None:
    constants = LinkingConstants(slope, intercept)
    ids, correct = [ITEMS.item_ids[i] for i, _ in own], [right for _, right in own]
    free = score(ITEMS, ids, correct)
    linked = score(constants.apply_items(ITEMS), ids, correct, constants.apply_prior(Prior()))
    assert linked.theta == pytest.approx(slope * free.theta + intercept, abs=1e-8)
    assert linked.se == pytest.approx(slope * free.se, abs=1e-8)


def test_the_information_is_that_of_the_response_curve() -> None:
    theta, step = np.linspace(-3.0, 3.0, 13), 1e-5
    slope = (probability(ITEMS, theta + step) - probability(ITEMS, theta - step)) / (2 * step)
    p = probability(ITEMS, theta)
    np.testing.assert_allclose(information(ITEMS, theta), slope**2 / (p * (1 - p)), rtol=1e-6)


@pytest.mark.parametrize(("a", "b", "c"), [(np.nan, 0, 0), (1, np.inf, 0), (1, 0, 1.0), (1, 0, -0.1)])
def test_unusable_parameters_are_refused_by_name(a: float, b: float, c: float) -> None:
    items = ItemParameters.from_values(["good", "bad"], [1, a], [0, b], [0, c])
    with pytest.raises(DataError, match="'bad'"):
        score(items, ["good"], [True])


@pytest.mark.parametrize(
    ("group", "item", "correct"),
    [([2], [0], [True]), ([-1], [0], [True]), ([0], [5], [True]), ([0, 1], [0], [True])],
)
def test_numbers_out_of_range_are_refused(group: list[int], item: list[int], correct: list[bool]) -> None:
    with pytest.raises(DataError):
        score_groups(ITEMS, group, item, correct, 2)


def test_ids_are_found_wherever_they_come_from() -> None:
    assert list(ITEMS.index_of(["q5", "q9", "q1"])) == [4, -1, 0]
    assert list(ITEMS.index_of(pl.Series(["q2", None]))) == [1, -1]
    assert list(ITEMS.index_of([])) == []


def test_parameters_must_fit_together() -> None:
    with pytest.raises(DataError, match="'q1' has two rows"):
        ItemParameters.from_values(["q1", "q2", "q1"], 1.0, 0.0)
    with pytest.raises(DataError, match="parameter b has shape"):
        replace(ITEMS, b=np.zeros(4))


def test_a_prior_without_spread_is_refused() -> None:
    with pytest.raises(DataError, match="sd > 0"):
        Prior(0.0, 0.0)


def test_one_learner_is_a_group_of_one() -> None:
    group = score_groups(ITEMS, [0, 0], [1, 2], [True, False], 1)
    expected = AbilityEstimate(group.theta[0], group.se[0], 2)
    assert score(ITEMS, ["q2", "q3"], [True, False]) == expected
