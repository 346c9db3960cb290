"""The kernels' own arithmetic is that of the libraries it stands in for."""

import numpy as np
import polars as pl
import pytest

from seedtest.irt import Responses
from seedtest.irt.compiled import kernels
from seedtest.irt.quadrature import normal_grid
from tests.irt.simulation import simulate


def test_the_fast_logarithm_has_all_digits() -> None:
    x = np.append(np.linspace(0, 1, 4001), 10.0 ** np.arange(-300, 0))
    ours = np.array([kernels("numerics").fast_log1p(value) for value in x])
    np.testing.assert_allclose(ours, np.log1p(x), rtol=1e-15)


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_products_of_matrices_and_gathered_rows_give_the_same_posteriors(share: float) -> None:
    frame = simulate(seed=7, n_users=150, n_items=9).frame
    again = frame.filter(pl.col("item_id") == frame["item_id"][0]).head(40)
    chosen = frame.sample(fraction=share, seed=1).vstack(again.with_columns(~pl.col("correct")))
    responses, grid = Responses.from_frame(chosen), normal_grid()
    rng = np.random.default_rng(1)
    params = np.stack([rng.lognormal(0, 0.3, 9), rng.normal(size=9), np.full(9, -2.0)], axis=1)
    table = np.empty((18, grid.nodes.size))
    kernels("estimation").log_table(params, grid.nodes, table, 0, 9)
    found = []
    for kind in ("estimation", "dense"):
        sums, mass = np.zeros_like(table), np.zeros(grid.nodes.size)
        add = kernels(kind).add_posteriors
        loglik = add(responses.start, responses.code, table, grid.log_weights, sums, mass)
        found.append(np.concatenate([[loglik], mass, sums.ravel()]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("n_users", [1, 30, 71, 72, 73])
def test_a_batch_that_is_not_full_adds_nothing_of_what_memory_held(n_users: int) -> None:
    responses, grid = simulate(seed=8, n_users=n_users, n_items=9).responses, normal_grid()
    rng = np.random.default_rng(2)
    table = np.log(rng.uniform(0.2, 0.8, (18, grid.nodes.size)))
    for _ in range(20):
        # Freed at once: the kernel's own tables then come to lie where this has been.
        np.full((72, 9), np.nan)
        sums, mass = np.zeros_like(table), np.zeros(grid.nodes.size)
        kernels("dense").add_posteriors(responses.start, responses.code, table, grid.log_weights, sums, mass)
        assert mass.sum() == pytest.approx(n_users)
        np.testing.assert_allclose(sums.sum(), n_users * 9)


@pytest.mark.parametrize(("n", "length"), [(1, 3), (4, 8), (7, 61), (10, 64)])
def test_products_are_those_of_the_library(n: int, length: int) -> None:
    rng = np.random.default_rng(n)
    left, right = rng.normal(size=(n + 2, length)), rng.normal(size=(n, length))
    both, squares = np.zeros((n + 2, n)), np.zeros((n, n))
    kernels("products").add_products(left, right, both)
    kernels("products").add_squares(right, squares)
    np.testing.assert_allclose(both, left @ right.T, atol=1e-12)
    np.testing.assert_allclose(np.triu(squares), np.triu(right @ right.T), atol=1e-12)


def test_the_inverse_is_the_librarys_and_a_matrix_without_one_is_told() -> None:
    inverse, half = kernels("inverse"), np.random.default_rng(3).normal(size=(40, 23))
    matrix = half.T @ half
    lower, root = matrix.copy(), np.empty_like(matrix)
    assert inverse.cholesky(lower)
    inverse.invert_lower(lower, root)
    np.testing.assert_allclose(root.T @ root, np.linalg.inv(matrix), rtol=1e-9, atol=1e-12)
    assert not inverse.cholesky(half @ half.T - np.eye(40))
