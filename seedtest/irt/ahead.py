"""Work in threads, a little ahead of who takes the results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def in_order(jobs: Iterable[Callable[[], Result]], n_ahead: int) -> Iterator[Result]:
    """Run jobs in threads and give their results in order.

    Unlike `Executor.map` this takes the next job only when a result has been taken: at most `n_ahead` of them
    wait, so that memory holds as many and no more.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n_ahead + 1) as pool:
        for job in jobs:
            pending.append(pool.submit(job))
            if len(pending) > n_ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
