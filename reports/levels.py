"""Where a learner stands: the share of learners below, a word for θ (domain §8), θ to expect in a topic."""

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


def expected_eap(theta: float, se: float, theta_mean: float, theta_sd: float) -> float:
    """Return the EAP to be expected of a learner at θ from answers that leave the standard error `se`.

    theta_mean + (1 − se²/theta_sd²)·(θ − theta_mean): with few answers an EAP leans towards the mean of its
    prior, by the reliability of the answers, 1 − se²/theta_sd² (Kelley, 1947; Bock & Mislevy, 1982). So an
    EAP from few answers compares with this, and not with θ itself.

    Parameters
    ----------
    theta
        Where the learner stands, logits.
    se
        Standard error of the EAP to compare, logits; from theta_sd on its answers say nothing.
    theta_mean, theta_sd
        Of the prior, logits.

    Returns
    -------
    float
        Logits, between theta_mean and θ.
    """
    reliability = max(0.0, 1 - (se / theta_sd) ** 2)
    return theta_mean + reliability * (theta - theta_mean)
