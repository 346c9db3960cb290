"""MAP, ML and WLE, many calls with the same items, and scoring of whole data sets."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from seedtest.errors import DataError
from seedtest.irt import (
    ItemParameters,
    Prior,
    Responses,
    Scorer,
    ScoringMethod,
    information,
    probability,
    score,
    score_groups,
    score_responses,
)
from tests.irt.simulation import simulate

RNG = np.random.default_rng(4)
N = 30
TWO = ItemParameters.from_values(
    [f"q{i}" for i in range(N)], RNG.lognormal(0, 0.3, N), RNG.standard_normal(N)
)
THREE = ItemParameters.from_values(TWO.item_ids, TWO.a, TWO.b, np.full(N, 0.2))
CORRECT = RNG.random(N) < 0.6
PRIOR = Prior(0.4, 0.8)


def loglik(items: ItemParameters, theta: float) -> float:
    p = probability(items, np.array([theta]))[:, 0]
    return float(np.log(np.where(CORRECT, p, 1 - p)).sum())


def informed(items: ItemParameters, theta: float) -> float:
    return float(information(items, np.array([theta])).sum())


@pytest.mark.parametrize("items", [TWO, THREE], ids=["2PL", "3PL"])
def test_map_is_the_mode_of_the_posterior(items: ItemParameters) -> None:
    best = minimize_scalar(
        lambda t: -loglik(items, t) - norm.logpdf(t, 0.4, 0.8), bounds=(-5, 5), options={"xatol": 1e-9}
    ).x
    estimate = score(items, items.item_ids, CORRECT, PRIOR, "MAP")
    assert estimate.theta == pytest.approx(best, abs=1e-6)
    assert estimate.se == pytest.approx((informed(items, best) + 0.8**-2) ** -0.5, abs=1e-6)


@pytest.mark.parametrize("items", [TWO, THREE], ids=["2PL", "3PL"])
def test_ml_is_the_maximum_of_the_likelihood(items: ItemParameters) -> None:
    best = minimize_scalar(lambda t: -loglik(items, t), bounds=(-5, 5), options={"xatol": 1e-9}).x
    estimate = score(items, items.item_ids, CORRECT, method="ML")
    assert estimate.theta == pytest.approx(best, abs=1e-6)
    assert estimate.se == pytest.approx(informed(items, best) ** -0.5, abs=1e-6)


@pytest.mark.parametrize("items", [TWO, THREE], ids=["2PL", "3PL"])
def test_wle_solves_warms_equation(items: ItemParameters) -> None:
    def warm(theta: float, h: float = 1e-4) -> float:
        p, low, high = (probability(items, np.array([t]))[:, 0] for t in (theta, theta - h, theta + h))
        first, second = (high - low) / (2 * h), (high - 2 * p + low) / h**2
        slope = ((CORRECT - p) * first / (p * (1 - p))).sum()
        j, i = (first * second / (p * (1 - p))).sum(), (first**2 / (p * (1 - p))).sum()
        return float(slope + j / (2 * i))

    estimate = score(items, items.item_ids, CORRECT, method=ScoringMethod.WLE)
    assert estimate.theta == pytest.approx(brentq(warm, -4, 4), abs=1e-5)


@pytest.mark.parametrize("right", [True, False])
def test_everything_right_or_wrong_is_a_bound_by_ml_and_finite_by_the_others(right: bool) -> None:
    correct = [right] * N
    sign = 1 if right else -1
    bounded = Scorer(TWO, method=ScoringMethod.ML, bounds=(-4.0, 4.0)).one(TWO.item_ids, correct)
    assert bounded.theta == sign * 4
    for method in ("EAP", "MAP", "WLE"):
        estimate = score(TWO, TWO.item_ids, correct, method=method)
        assert 1 < sign * estimate.theta < 6
        assert np.isfinite(estimate.se)


@pytest.mark.parametrize("method", list(ScoringMethod))
def test_one_learner_and_many_get_the_same_ability(method: ScoringMethod) -> None:
    n_users = 300
    group, item = np.repeat(np.arange(n_users), 20), RNG.integers(0, N, 20 * n_users)
    correct = RNG.random(item.size) < 0.5
    scorer, order = Scorer(THREE, PRIOR, method), RNG.permutation(item.size)
    many = score_groups(THREE, group[order], item[order], correct[order], n_users, PRIOR, method)
    for number in range(n_users):
        own = group == number
        one = scorer.one([THREE.item_ids[i] for i in item[own]], correct[own])
        assert (one.theta, one.se, one.n) == (many.theta[number], many.se[number], many.n[number])
        again = score(THREE, [THREE.item_ids[i] for i in item[own]], correct[own], PRIOR, method)
        assert one == again


def test_a_posterior_narrower_than_the_grid_is_integrated_exactly() -> None:
    items = ItemParameters.from_values([f"q{i}" for i in range(400)], 2.5, RNG.standard_normal(400), 0.1)
    correct = RNG.random(400) < probability(items, np.array([0.37]))[:, 0]
    x = np.linspace(-6, 6, 20_001)
    p = probability(items, x)
    log_density = np.where(correct[:, None], np.log(p), np.log(1 - p)).sum(axis=0) - x**2 / 2
    posterior = np.exp(log_density - log_density.max())
    posterior /= posterior.sum()
    mean = posterior @ x
    estimate = score(items, items.item_ids, correct)
    assert estimate.se < 0.1
    assert estimate.theta == pytest.approx(mean, abs=1e-9)
    assert estimate.se == pytest.approx(np.sqrt(posterior @ (x - mean) ** 2), abs=1e-9)


@pytest.mark.parametrize("method", list(ScoringMethod))
def test_without_a_counted_answer_no_method_has_an_ability(method: ScoringMethod) -> None:
    estimate = score(TWO, ["unknown"], [True], method=method)
    assert np.isnan([estimate.theta, estimate.se]).all()
    assert estimate.n == 0


def test_the_last_posterior_as_prior_stands_for_the_earlier_answers() -> None:
    half = N // 2
    before = score(TWO, TWO.item_ids[:half], CORRECT[:half])
    updated = score(TWO, TWO.item_ids[half:], CORRECT[half:], before.as_prior())
    whole = score(TWO, TWO.item_ids, CORRECT)
    assert updated.theta == pytest.approx(whole.theta, abs=0.03)
    assert updated.se == pytest.approx(whole.se, abs=0.03)


def test_responses_are_scored_by_the_ids_of_their_items() -> None:
    simulation = simulate(seed=9, n_users=200, n_items=30, answers_each=12)
    responses = simulation.responses
    own = score_responses(simulation.items, responses)
    backwards = ItemParameters.from_values(
        simulation.items.item_ids[::-1], simulation.items.a[::-1], simulation.items.b[::-1]
    )
    np.testing.assert_allclose(score_responses(backwards, responses).theta, own.theta, atol=1e-12)
    some = simulation.items.select(np.arange(30) < 10)
    assert score_responses(some, responses).n.sum() < own.n.sum() == len(responses)


def test_unknown_methods_and_bounds_are_refused() -> None:
    with pytest.raises(DataError, match="choose one of EAP, MAP, ML, WLE"):
        score(TWO, [], [], method="MLE")
    with pytest.raises(DataError, match="cannot be bounded"):
        Scorer(TWO, bounds=(1.0, 1.0))
    with pytest.raises(DataError, match="every answer needs both"):
        Scorer(TWO).one(["q1"], [True, False])


def test_an_empty_data_set_has_no_scores() -> None:
    none = np.zeros(0, dtype=np.int32)
    empty = Responses.from_arrays((), (), none, none, none)
    assert score_responses(TWO, empty).theta.size == 0
