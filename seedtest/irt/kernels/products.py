"""Products of matrices within one thread: the library brings its own threads, which wait for each other."""

from seedtest.irt.kernels.cache import compiled


@compiled
def score_means(flat, counts, wrong, right, item_of, n_rows_each, out):
    """Fill Σ_k flat·score of the answered items, (n_rows, n_free) in `out`; 0 where nothing was answered."""
    for row in range(flat.shape[0]):
        learner = row // n_rows_each
        for j in range(item_of.size):
            n_wrong, n_right = counts[learner, 2 * item_of[j]], counts[learner, 2 * item_of[j] + 1]
            total = 0.0
            if n_wrong > 0:
                part = 0.0
                for k in range(flat.shape[1]):
                    part += flat[row, k] * wrong[j, k]
                total += n_wrong * part
            if n_right > 0:
                part = 0.0
                for k in range(flat.shape[1]):
                    part += flat[row, k] * right[j, k]
                total += n_right * part
            out[row, j] = total


@compiled
def add_squares(values, out):
    """Add valuesᵀ·values to the upper triangle of `out`, four rows at a time."""
    n_rows, n = values.shape
    row = 0
    while row + 4 <= n_rows:
        v0, v1, v2, v3 = values[row], values[row + 1], values[row + 2], values[row + 3]
        for i in range(n):
            a0, a1, a2, a3 = v0[i], v1[i], v2[i], v3[i]
            target = out[i]
            for j in range(i, n):
                target[j] += a0 * v0[j] + a1 * v1[j] + (a2 * v2[j] + a3 * v3[j])
        row += 4
    while row < n_rows:
        for i in range(n):
            for j in range(i, n):
                out[i, j] += values[row, i] * values[row, j]
        row += 1
