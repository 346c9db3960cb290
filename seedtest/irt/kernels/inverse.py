"""The inverse of a positive definite matrix within one thread, as far as standard errors need it."""

import numpy as np

from seedtest.irt.kernels.cache import compiled


@compiled
def cholesky(matrix):
    """Put the lower factor L, LLᵀ = `matrix`, in its place; false where it is not positive definite."""
    for i in range(matrix.shape[0]):
        row = matrix[i]
        for j in range(i + 1):
            other = matrix[j]
            total = 0.0
            for k in range(j):
                total += row[k] * other[k]
            if j < i:
                row[j] = (row[j] - total) / other[j]
            elif row[i] - total > 0:
                row[i] = np.sqrt(row[i] - total)
            else:
                return False
    return True


@compiled
def invert_lower(lower, out):
    """Fill `out` with the inverse of a lower triangular matrix, row by row; both (n, n).

    Row i is −Σ_k L_ik·(row k)/L_ii, k < i, and 1/L_ii on the diagonal.
    """
    out[:] = 0.0
    for i in range(lower.shape[0]):
        row, factors = out[i], lower[i]
        k = 0
        while k + 4 <= i:
            r0, r1, r2, r3 = out[k], out[k + 1], out[k + 2], out[k + 3]
            f0, f1, f2, f3 = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
            for j in range(k + 4):
                row[j] += (f0 * r0[j] + f1 * r1[j]) + (f2 * r2[j] + f3 * r3[j])
            k += 4
        while k < i:
            other = out[k]
            for j in range(k + 1):
                row[j] += factors[k] * other[j]
            k += 1
        for j in range(i):
            row[j] /= -factors[i]
        row[i] = 1 / factors[i]
