"""The word for θ and the share of learners below."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.levels import THRESHOLDS, Level, expected_eap, level_of, percentile
from seedtest.irt import ItemParameters, Prior, probability
from seedtest.irt.scoring import score_groups

WORDS = list(Level)


@pytest.mark.parametrize(
    ("threshold", "below", "above"), list(zip(THRESHOLDS, WORDS[:-1], WORDS[1:], strict=True))
)
def test_a_level_begins_at_its_threshold(threshold: float, below: Level, above: Level) -> None:
    assert level_of(threshold) is above
    assert level_of(threshold - 1e-9) is below


def test_every_level_has_its_range() -> None:
    assert len(WORDS) == len(THRESHOLDS) + 1
    assert (level_of(-50), level_of(0), level_of(50)) == (Level.BEGINNING, Level.AVERAGE, Level.OUTSTANDING)


@given(st.floats(-6, 6), st.floats(-2, 2), st.floats(0.2, 3))
def test_the_percentile_is_the_normal_distributions(theta: float, mean: float, sd: float) -> None:
    assert percentile(theta, mean, sd) == pytest.approx(stats.norm(mean, sd).cdf(theta), rel=1e-9, abs=1e-15)


def test_half_of_the_learners_are_below_the_mean() -> None:
    assert percentile(0.4, 0.4, 1.3) == 0.5


def test_with_full_information_theta_itself_is_expected_and_with_none_the_mean() -> None:
    assert expected_eap(2.0, 0.0, 0.5, 0.8) == 2.0
    assert expected_eap(2.0, 0.8, 0.5, 0.8) == 0.5
    assert expected_eap(2.0, 0.9, 0.5, 0.8) == 0.5, "an SE above the prior's, of very few answers"
    assert expected_eap(0.5, 0.4, 0.5, 0.8) == 0.5


@pytest.mark.parametrize("n_items", [4, 12, 40])
@pytest.mark.parametrize("theta", [-1.0, 1.5])
def test_it_is_the_mean_eap_of_learners_who_answer_so_many_items(theta: float, n_items: int) -> None:
    n_learners, prior = 4_000, Prior(0.5, 0.8)
    difficulties = np.linspace(-1, 2, n_items)
    items = ItemParameters.from_values([f"Q{n:02}" for n in range(n_items)], 1.0, difficulties.tolist())
    chance = probability(items, np.array([theta]))[:, 0]
    correct = np.random.default_rng(5).random((n_learners, n_items)) < chance
    learners = np.repeat(np.arange(n_learners, dtype=np.int32), n_items)
    answered = np.tile(np.arange(n_items, dtype=np.int32), n_learners)
    scores = score_groups(items, learners, answered, correct.ravel(), n_learners, prior)
    expected = [expected_eap(theta, se, prior.mean, prior.sd) for se in scores.se]
    assert np.mean(scores.theta) == pytest.approx(np.mean(expected), abs=0.05)
