"""The grid on which integrals over ability are taken, and the posteriors on it."""

from dataclasses import dataclass

import numpy as np

from seedtest.irt.parameters import STANDARD_NORMAL, FloatArray, Prior

DEFAULT_N_NODES = 61

GRID_HALF_WIDTH_SD = 6.0
"""The grid ends six standard deviations from the mean: 2e-9 of the ability distribution lies outside."""


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Nodes (logits) and log weights of the ability distribution, each (n_nodes,)."""

    nodes: FloatArray
    log_weights: FloatArray

    @property
    def step(self) -> float:
        """Distance between two nodes, in logits."""
        return float(self.nodes[1] - self.nodes[0])


def normal_grid(prior: Prior = STANDARD_NORMAL, n_nodes: int = DEFAULT_N_NODES) -> Quadrature:
    """Even grid over mean ± 6 sd with weights proportional to the normal density.

    Even rather than Gauss–Hermite: the trapezoid rule is all but exact for any posterior wider than
    about one step, while Gauss–Hermite nodes are too far apart for long tests. The grid moves and
    stretches with the prior, so that scoring before linking and after gives the same abilities.
    """
    standard = np.linspace(-GRID_HALF_WIDTH_SD, GRID_HALF_WIDTH_SD, n_nodes)
    density = np.exp(-0.5 * standard**2)
    return Quadrature(prior.mean + prior.sd * standard, np.log(density / density.sum()))
