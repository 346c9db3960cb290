"""How well the items measure: information and reliability."""

from dataclasses import dataclass

import numpy as np

from seedtest.irt.model import information
from seedtest.irt.parameters import FloatArray, ItemParameters
from seedtest.irt.quadrature import normal_grid
from seedtest.irt.results import Calibration


@dataclass(frozen=True, slots=True)
class Reliability:
    """Share of the variance of ability that answers reveal, each in [0, 1].

    Attributes
    ----------
    marginal
        ∫ I/(I + 1/σ²) φ dθ of a learner who answers every item (Green et al., 1984).
    empirical
        Var(θ̂)/(Var(θ̂) + mean SE²) of the learners' EAPs, with the answers they gave; NaN without abilities.
    """

    marginal: float
    empirical: float


def test_information(items: ItemParameters, theta: FloatArray) -> FloatArray:
    """Fisher information of all items together about θ, (n_theta,), in 1/logits²; SE(θ) = 1/√I."""
    return np.asarray(information(items, theta).sum(axis=0))


test_information.__test__ = False  # type: ignore[attr-defined]  # no test, whatever pytest makes of the name


def reliability(calibration: Calibration) -> Reliability:
    """Reliability of the whole set of items, and of the abilities estimated."""
    grid, sd = normal_grid(calibration.prior), calibration.prior.sd
    about = test_information(calibration.items, grid.nodes)
    marginal = float(np.exp(grid.log_weights) @ (about / (about + sd**-2)))
    abilities = calibration.abilities
    if len(abilities) == 0:
        return Reliability(marginal, float("nan"))
    between, within = float(np.var(abilities.theta)), float(np.mean(abilities.se**2))
    return Reliability(marginal, between / (between + within))
