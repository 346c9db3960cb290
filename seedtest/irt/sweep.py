"""Passes over all answers: threads take blocks of learners, each with tables of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from seedtest.irt.compiled import kernels
from seedtest.irt.parameters import FloatArray
from seedtest.irt.quadrature import Quadrature
from seedtest.irt.rows import Block, Rows

Result = TypeVar("Result")

DENSE = 0.85
"""Share of all learners' answers to all items from which products of matrices beat gathered rows."""


@dataclass(frozen=True, eq=False)
class Expectation:
    """The E-step: what learners' posteriors add up to.

    Attributes
    ----------
    sums
        Wrong and right answers expected at each node, two rows an item, (2·n_items, n_nodes).
        Valid until the next E-step of the same sweep.
    mass
        Learners expected at each node, (n_nodes,).
    loglik
        Marginal log-likelihood.
    """

    sums: FloatArray
    mass: FloatArray
    loglik: float


class Sweep:
    """Threads and tables for repeated passes over the same blocks of answers.

    Deterministic for a given number of threads: thread t takes the blocks t, t + n, …, and the
    threads' tables are added in order. Threads live as long as the context, so that a process forked
    later inherits none, and several sweeps can run at once.
    """

    def __init__(self, blocks: Sequence[Block], n_items: int, grid: Quadrature, n_threads: int) -> None:
        self.grid = grid
        self.n_items = n_items
        self._blocks = blocks
        self._n = min(n_threads, max(len(blocks), 1))
        self._table = np.empty((2 * n_items, grid.nodes.size))
        self._sums = np.empty((self._n, 2 * n_items, grid.nodes.size))
        self._mass = np.empty((self._n, grid.nodes.size))
        self._pool = ThreadPoolExecutor(self._n) if self._n > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def expect(self, params: FloatArray) -> Expectation:
        """E-step at slopes, intercepts and logit c on the grid's scale, (n_items, 3)."""
        estimation = kernels("estimation")
        table = self.log_table(params)

        def work(thread: int) -> float:
            sums, mass = self._sums[thread], self._mass[thread]
            sums[:], mass[:] = 0.0, 0.0
            logliks = []
            for block in self._blocks[thread :: self._n]:
                rows = block.load()
                add = kernels("dense" if self._is_dense(rows) else "estimation").add_posteriors
                logliks.append(add(rows.start, rows.code, table, self.grid.log_weights, sums, mass))
            return float(sum(logliks))

        loglik = float(sum(self.map(work)))
        if self._n > 1:
            self.by_items(lambda first, last: estimation.merge_tables(self._sums, 2 * first, 2 * last))
        return Expectation(self._sums[0], self._mass.sum(axis=0), loglik)

    def log_table(self, params: FloatArray) -> FloatArray:
        """Log Q and log P at the nodes, two rows an item; valid until the next call."""
        fill = kernels("estimation").log_table
        self.by_items(lambda first, last: fill(params, self.grid.nodes, self._table, first, last))
        return self._table

    def each_block(self, work: Callable[[int, Rows], None]) -> None:
        """Run work(thread, rows) on every block."""

        def all_of(thread: int) -> None:
            for block in self._blocks[thread :: self._n]:
                work(thread, block.load())

        self.map(all_of)

    def by_items(self, work: Callable[[int, int], None]) -> None:
        """Run work(first, last) on ranges of items."""
        bounds = np.linspace(0, self.n_items, self._n + 1).astype(np.int64)
        self.map(lambda thread: work(int(bounds[thread]), int(bounds[thread + 1])))

    def _is_dense(self, rows: Rows) -> bool:
        n_answers, n_users = rows.start[-1] - rows.start[0], rows.start.size - 1
        return bool(n_answers >= DENSE * n_users * self.n_items)

    @property
    def n_threads(self) -> int:
        """Threads at work."""
        return self._n

    def map(self, work: Callable[[int], Result]) -> list[Result]:
        """Run work(thread) on every thread and return what they gave, in order."""
        if self._pool is None:
            return [work(0)]
        return list(self._pool.map(work, range(self._n)))
