"""Where a learner stands: the share of learners below, and a word for θ (domain §8)."""

from bisect import bisect_right
from enum import StrEnum

from scipy.special import ndtr


class Level(StrEnum):
    """A word for θ, from the lowest to the highest; the catalogues hold its texts."""

    BEGINNING = "beginning"
    ELEMENTARY = "elementary"
    DEVELOPING = "developing"
    AVERAGE = "average"
    GOOD = "good"
    VERY_GOOD = "very_good"
    EXCELLENT = "excellent"
    OUTSTANDING = "outstanding"


THRESHOLDS = (-1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0)
"""θ (logits) at which the next level begins, the threshold itself included."""


def level_of(theta: float) -> Level:
    """Return the level that θ falls into."""
    return tuple(Level)[bisect_right(THRESHOLDS, theta)]


def percentile(theta: float, theta_mean: float, theta_sd: float) -> float:
    """Return Φ((θ − theta_mean)/theta_sd), the share of learners below θ, in [0, 1]."""
    return float(ndtr((theta - theta_mean) / theta_sd))
