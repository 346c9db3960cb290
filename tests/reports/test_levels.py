"""The word for θ and the share of learners below."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.levels import THRESHOLDS, Level, level_of, percentile

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
