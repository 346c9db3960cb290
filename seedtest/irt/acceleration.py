"""Anderson acceleration of a fixed-point iteration, kept safe by the objective (Walker & Ni, 2011)."""

import numpy as np

from seedtest.irt.parameters import FloatArray

DEPTH = 6
"""Steps remembered; deeper memories gain nothing on any of the reference data."""

CONDITION = 1e-12
"""Combinations of remembered steps that are this much shorter than the longest are noise."""


class Anderson:
    """Proposes the next point from the last steps x → g(x), and takes proposals back that lost ground.

    With f_k = g(x_k) − x_k, the next point is g(x_k) − Σ_i γ_i Δg_i for the γ that minimises
    |W(f_k − Σ_i γ_i Δf_i)|. `weights` W, (n,), are the square roots of the information about each
    coordinate: without them, loosely known coordinates with their long steps would drown the others.
    """

    def __init__(self) -> None:
        self._points: list[FloatArray] = []
        self._images: list[FloatArray] = []
        self._best = -np.inf

    def rejects(self, objective: float, slack: float) -> bool:
        """Whether the last proposal lost more than `slack` of the objective."""
        return bool(self._images) and not objective >= self._best - slack

    def retreat(self) -> FloatArray:
        """Return the last plain step, to go on from after a rejection, and forget what was before."""
        image = self._images[-1]
        self._points, self._images = [], []
        return image

    def next_point(
        self, point: FloatArray, image: FloatArray, objective: float, weights: FloatArray
    ) -> FloatArray:
        """Where to go after the step from `point` to `image` = g(point), all (n,)."""
        self._points, self._images = [*self._points[-DEPTH:], point], [*self._images[-DEPTH:], image]
        self._best = objective
        if len(self._points) == 1:
            return image
        images = np.stack(self._images)
        steps = images - np.stack(self._points)
        step_changes = np.diff(steps, axis=0)
        gamma = np.linalg.lstsq((step_changes * weights).T, steps[-1] * weights, rcond=CONDITION)[0]
        return np.asarray(image - gamma @ np.diff(images, axis=0))
