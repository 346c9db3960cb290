"""Products of matrices within one thread: a library brings its own threads, which wait for each other."""

from seedtest.irt.kernels.cache import compiled


@compiled
def add_products(left, right, out):
    """Add left·rightᵀ to `out`, (n_left, n_right); both have rows of equal length."""
    n = left.shape[0]
    whole = n - n % 4
    for i in range(0, whole, 4):
        _add_four_rows(left[i : i + 4], right, 0, out[i : i + 4])
    for i in range(whole, n):
        _add_row(left[i], right, 0, out[i])


@compiled
def add_squares(values, out):
    """Add values·valuesᵀ to the upper triangle of `out`, (n, n); below it nothing is meant."""
    n = values.shape[0]
    whole = n - n % 4
    for i in range(0, whole, 4):
        _add_four_rows(values[i : i + 4], values, i, out[i : i + 4])
    for i in range(whole, n):
        _add_row(values[i], values, i, out[i])


@compiled
def _add_four_rows(left, right, first, out):
    """Products of four rows with the rows from `first` on; sixteen sums at once stay in registers."""
    a0, a1, a2, a3 = left[0], left[1], left[2], left[3]
    n, length = right.shape
    j = first
    while j + 4 <= n:
        b0, b1, b2, b3 = right[j], right[j + 1], right[j + 2], right[j + 3]
        s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
        s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
        for k in range(length):
            x0, x1, x2, x3 = a0[k], a1[k], a2[k], a3[k]
            y = b0[k]
            s00 += x0 * y
            s10 += x1 * y
            s20 += x2 * y
            s30 += x3 * y
            y = b1[k]
            s01 += x0 * y
            s11 += x1 * y
            s21 += x2 * y
            s31 += x3 * y
            y = b2[k]
            s02 += x0 * y
            s12 += x1 * y
            s22 += x2 * y
            s32 += x3 * y
            y = b3[k]
            s03 += x0 * y
            s13 += x1 * y
            s23 += x2 * y
            s33 += x3 * y
        _add_to(out[0], j, s00, s01, s02, s03)
        _add_to(out[1], j, s10, s11, s12, s13)
        _add_to(out[2], j, s20, s21, s22, s23)
        _add_to(out[3], j, s30, s31, s32, s33)
        j += 4
    for i in range(4):
        _add_row(left[i], right, j, out[i])


@compiled
def _add_to(out, j, s0, s1, s2, s3):
    out[j] += s0
    out[j + 1] += s1
    out[j + 2] += s2
    out[j + 3] += s3


@compiled
def _add_row(left, right, first, out):
    for j in range(first, right.shape[0]):
        b = right[j]
        total = 0.0
        for k in range(left.size):
            total += left[k] * b[k]
        out[j] += total
