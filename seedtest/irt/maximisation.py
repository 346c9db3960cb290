"""The M-step: all items at once, each a logistic regression on the nodes."""

import numpy as np
from scipy.special import expit, log_expit

from seedtest.irt.answers import NodeCounts
from seedtest.irt.parameters import FloatArray
from seedtest.irt.priors import Penalty

LARGEST_SLOPE = 10.0
"""Slopes are kept within ±10: beyond, an item is a step function and its likelihood flat."""

MAX_NEWTON_STEPS = 25
MAX_HALVINGS = 12
NEWTON_TOLERANCE = 1e-9
ROUNDING = 1e-12


def maximise(counts: NodeCounts, nodes: FloatArray, start: FloatArray, penalty: Penalty) -> FloatArray:
    """Lines a·θ + d that maximise the expected log-likelihood minus the penalty, (n_items, 2).

    Newton steps with the expected information (for the logistic curve the exact second derivative),
    halved for each item until its objective does not fall. The objective is concave without a prior.

    Parameters
    ----------
    counts
        Right and all answers expected at each node.
    nodes
        Grid of θ (logits), (n_nodes,).
    start
        Slopes and intercepts to start from, (n_items, 2).
    penalty
        Prior on the items.
    """
    lines = start
    for _ in range(MAX_NEWTON_STEPS):
        improved = _damped(counts, nodes, lines, _newton_step(counts, nodes, lines, penalty), penalty)
        change = np.abs(improved - lines).max()
        lines = improved
        if change < NEWTON_TOLERANCE:
            break
    return lines


def logits(lines: FloatArray, nodes: FloatArray) -> FloatArray:
    """a·θ + d at the nodes, (n_items, n_nodes)."""
    return lines[:, :1] * nodes + lines[:, 1:]


def clip_slopes(lines: FloatArray) -> FloatArray:
    """Keep slopes within their bounds, (n_items, 2)."""
    slopes = np.clip(lines[:, 0], -LARGEST_SLOPE, LARGEST_SLOPE)
    return np.stack([slopes, lines[:, 1]], axis=1)


def complete_information(counts: NodeCounts, nodes: FloatArray, lines: FloatArray) -> FloatArray:
    """Σ_k n_k·P·Q·(θ, 1)ᵀ(θ, 1): information were abilities known, (n_items, 2, 2)."""
    p = expit(logits(lines, nodes))
    weight = counts.total * p * (1 - p)
    aa, ad, dd = ((weight * power).sum(axis=1) for power in (nodes**2, nodes, 1.0))
    return np.stack([np.stack([aa, ad], axis=1), np.stack([ad, dd], axis=1)], axis=1)


def likelihood_gradient(counts: NodeCounts, nodes: FloatArray, lines: FloatArray) -> FloatArray:
    """Σ_k (r_k − n_k·P)·(θ, 1): gradient of the marginal log-likelihood (Fisher), (n_items, 2)."""
    residual = counts.right - counts.total * expit(logits(lines, nodes))
    return np.stack([(residual * nodes).sum(axis=1), residual.sum(axis=1)], axis=1)


def _newton_step(counts: NodeCounts, nodes: FloatArray, lines: FloatArray, penalty: Penalty) -> FloatArray:
    gradient = likelihood_gradient(counts, nodes, lines) - penalty.gradient(lines)
    information = complete_information(counts, nodes, lines) + penalty.curvature(lines)
    step = np.linalg.solve(_invertible(information), gradient[:, :, None])
    return step[:, :, 0].astype(np.float64)


def _invertible(information: FloatArray) -> FloatArray:
    """Lift a singular block by a trace-sized ridge: the step stays uphill, if short."""
    trace = np.trace(information, axis1=1, axis2=2)
    ridge = np.where(np.linalg.det(information) > ROUNDING * trace**2, 0.0, ROUNDING + 1e-6 * trace)
    return information + ridge[:, None, None] * np.eye(2)


def _damped(
    counts: NodeCounts, nodes: FloatArray, lines: FloatArray, step: FloatArray, penalty: Penalty
) -> FloatArray:
    before = _objective(counts, nodes, lines, penalty)
    floor = before - ROUNDING * np.abs(before)
    length = np.ones(len(lines))
    for _ in range(MAX_HALVINGS):
        candidate = clip_slopes(lines + length[:, None] * step)
        worse = ~(_objective(counts, nodes, candidate, penalty) >= floor)
        if not worse.any():
            return candidate
        length[worse] /= 2
    return np.where(worse[:, None], lines, candidate)


def _objective(counts: NodeCounts, nodes: FloatArray, lines: FloatArray, penalty: Penalty) -> FloatArray:
    z = logits(lines, nodes)
    expected = counts.right * log_expit(z) + (counts.total - counts.right) * log_expit(-z)
    return np.asarray(expected.sum(axis=1) - penalty.value(lines))
