"""One learner's bad data never stops the rest: finding the learner, and saying why.

Two nets. `split_by_bounds` takes out learners whose values are impossible; `isolate` finds, by
bisection, learners whose data makes a whole batch raise.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

logger = logging.getLogger(__name__)

BAD_DATA_ERRORS = (pl.exceptions.PolarsError, ArithmeticError, ValueError)
"""What one learner's data can raise; anything else is a defect or an outage and stops the run."""


@dataclass(frozen=True)
class UserFailure:
    """A learner left out, and why."""

    user_id: str
    reason: str


@dataclass(frozen=True)
class Bound:
    """The finite range that a column's values must be in when known, and where they come from."""

    column: str
    source: str
    low: float = -math.inf
    high: float = math.inf

    @property
    def broken(self) -> pl.Expr:
        """True where the value is known and not finite or not in the range."""
        value = pl.col(self.column).cast(pl.Float64)
        legal = value.is_finite() & value.is_between(self.low, self.high)
        return (~legal).fill_null(value=False)

    def describe(self, value: float) -> str:
        """Say what is wrong with `value` and where to look."""
        bounded = math.isfinite(self.low) or math.isfinite(self.high)
        allowed = f"a finite number in [{self.low:g}, {self.high:g}]" if bounded else "a finite number"
        return f"{self.column} is {value}, not {allowed}: check the learner's {self.source}"


def split_by_bounds(
    rows: pl.DataFrame, bounds: Sequence[Bound]
) -> tuple[pl.DataFrame, tuple[UserFailure, ...]]:
    """Take out every row of the learners with a value out of bounds; one failure each, the first."""
    bad = rows.filter(pl.any_horizontal(bound.broken for bound in bounds))
    failures: dict[str, UserFailure] = {}
    for bound in bounds:
        broken = bad.filter(bound.broken).sort("user_id", "week_start")
        for user_id, week_start, value in broken.select("user_id", "week_start", bound.column).iter_rows():
            reason = f"week of {week_start}: {bound.describe(value)}"
            failures.setdefault(user_id, UserFailure(user_id, reason))
    return rows.join(bad, on="user_id", how="anti"), tuple(failures.values())


def isolate(
    user_ids: pl.Series, compute: Callable[[pl.Series], pl.DataFrame]
) -> tuple[pl.DataFrame, tuple[UserFailure, ...]]:
    """Compute for all learners at once or, where that raises, for ever smaller halves of them.

    Returns the rows that came out, and the learners whose data alone still raises. An error that comes
    even when computing for nobody is no learner's and is raised.
    """
    try:
        return compute(user_ids), ()
    except BAD_DATA_ERRORS as error:
        kind = type(error).__name__
        logger.warning("Computing %d learners raised %s; looking for whose data it is", len(user_ids), kind)
        nobody = compute(user_ids.clear())
    frames, failures = [nobody], []
    batches = [user_ids]
    while batches:
        batch = batches.pop()
        try:
            frames.append(compute(batch))
        except BAD_DATA_ERRORS as error:
            middle = len(batch) // 2
            if middle:
                batches += [batch[middle:], batch[:middle]]
            else:
                reason = f"the learner's data cannot be computed: {type(error).__name__}: {error}"
                failures.append(UserFailure(batch[0], reason))
    return pl.concat(frames), tuple(failures)
