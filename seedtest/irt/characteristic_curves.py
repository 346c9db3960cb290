"""Linking by characteristic curves: Haebara (1980) and Stocking & Lord (1983)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from seedtest.irt.parameters import FloatArray, ItemParameters
from seedtest.irt.quadrature import normal_grid

NAMES: Final = ("a", "b", "c")
STEP = 1e-5
"""Step of central differences (logits): error about 1e-10."""

TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class CurveLinking:
    """Slope and intercept that bring two sets of curves together, and what each parameter does to them.

    Attributes
    ----------
    slope, intercept
        θ' = slope·θ + intercept.
    influence
        Derivatives of slope and intercept by a, b, c of the free and of the reference items,
        (2, 6, n_items).
    """

    slope: float
    intercept: float
    influence: FloatArray


@dataclass(frozen=True, eq=False)
class _Items:
    """Values of a, b, c of the free, then of the reference items, (6, n_items)."""

    values: FloatArray

    def moved(self, parameter: int, step: float) -> "_Items":
        """One of the six parameters of all items changed by a step."""
        values = self.values.copy()
        values[parameter] += step
        return _Items(values)

    def differences(self, point: FloatArray, theta: FloatArray) -> FloatArray:
        """Linked less reference curve and its derivatives by slope and intercept, (3, n_items, n_nodes)."""
        a, b, c, a_ref, b_ref, c_ref = self.values[:, :, None]
        slope, intercept = point
        s = expit(a * ((theta - intercept) / slope - b))
        steepness = (1 - c) * s * (1 - s) * a
        by_slope = -steepness * (theta - intercept) / slope**2
        difference = c + (1 - c) * s - c_ref - (1 - c_ref) * expit(a_ref * (theta - b_ref))
        return np.stack([difference, by_slope, -steepness / slope + 0 * theta])


def link_curves(
    free: ItemParameters, reference: ItemParameters, start: tuple[float, float], *, of_the_test: bool
) -> CurveLinking:
    """Minimise the squared distance of the linked items' curves from the reference items'.

    Haebara: Σ_k w_k Σ_j (P_j − P_j,ref)²; Stocking & Lord (`of_the_test`): Σ_k w_k (Σ_j P_j − Σ_j P_j,ref)².
    The nodes are those of N(0, 1) on the reference scale.

    The influences follow from the implicit function theorem: where the gradient g is 0, a parameter x
    moves the minimum by −H⁻¹·∂g/∂x.
    """
    items = _Items(np.stack([getattr(side, name) for side in (free, reference) for name in NAMES]))
    grid = normal_grid()
    weights = np.exp(grid.log_weights)
    root = np.sqrt(weights)

    def parts(point: FloatArray) -> FloatArray:
        differences = items.differences(point, grid.nodes) * root
        return np.asarray(differences.sum(axis=1) if of_the_test else differences.reshape(3, -1))

    def residuals(point: FloatArray) -> FloatArray:
        return np.asarray(parts(point)[0])

    def jacobian(point: FloatArray) -> FloatArray:
        return parts(point)[1:].T

    # A fit needs it only here, and importing it takes 15 MB and a third of a second.
    from scipy.optimize import least_squares  # noqa: PLC0415 - see above

    found = least_squares(
        residuals,
        np.array(start),
        jac=jacobian,
        xtol=TOLERANCE,
        ftol=TOLERANCE,
        gtol=TOLERANCE,
    )
    point = np.asarray(found.x)
    influence = _influence(items, point, grid.nodes, weights, of_the_test=of_the_test)
    return CurveLinking(float(point[0]), float(point[1]), influence)


def _influence(
    items: _Items, point: FloatArray, theta: FloatArray, weights: FloatArray, *, of_the_test: bool
) -> FloatArray:
    here = items.differences(point, theta)
    around = here.sum(axis=1, keepdims=True) if of_the_test else here

    def gradient_change(before: FloatArray, after: FloatArray) -> FloatArray:
        """Change of the gradient, (2, n_items), item by item."""
        by = (after - before) / (2 * STEP)
        return np.asarray((by[1:] * around[0] + around[1:] * by[0]) @ weights)

    curvature = np.stack(
        [
            gradient_change(
                items.differences(point - step, theta), items.differences(point + step, theta)
            ).sum(axis=1)
            for step in STEP * np.eye(2)
        ],
        axis=1,
    )
    changes = [
        gradient_change(
            items.moved(at, -STEP).differences(point, theta), items.moved(at, STEP).differences(point, theta)
        )
        for at in range(len(items.values))
    ]
    stacked = np.stack(changes, axis=1)
    return -np.linalg.solve(curvature, stacked.reshape(2, -1)).reshape(stacked.shape)
