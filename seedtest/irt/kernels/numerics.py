"""Arithmetic that kernels share."""

import numpy as np

from seedtest.irt.kernels.cache import compiled_exactly

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6
ROUNDER = 6755399441055744.0
"""1.5·2⁵²: adding it rounds to a whole number, which then stands in the lowest bits."""

LOWEST = -708.0
"""Below this e^x is no normal number."""


@compiled_exactly
def fast_exp(x: float) -> float:
    """e^x for x ≤ 709 within two units in the last place; unlike the library's, it vectorises.

    x = n·ln 2 + r, |r| ≤ ½ ln 2; Taylor's polynomial of degree 12 for e^r, n added to the exponent.
    """
    x = max(x, LOWEST)
    shifted = x * LOG2_E + ROUNDER
    n = shifted - ROUNDER
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    exponent = np.float64(shifted).view(np.int64) << np.int64(52)
    return np.int64(np.float64(p).view(np.int64) + exponent).view(np.float64)
