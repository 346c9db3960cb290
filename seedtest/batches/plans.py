"""What is to be done for a range of learners, cut into parts that fit in memory.

Finding out what changed reads a line a learner and day; computing reads every answer of two months. So
the first is done for many learners at a time, and only the second, for those who need it, in small parts.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

import polars as pl

from seedtest.batches.digests import KEY
from seedtest.db.buckets import Buckets


@dataclass(frozen=True)
class Part:
    """Rows that are worked on at a time.

    Attributes
    ----------
    buckets
        Those of the learners.
    todo
        user_id, date, digest of the rows to compute.
    stale
        user_id, date of rows that were computed once and have no answers any more.
    users
        The learners to read; None for all of the buckets, as a list of most of them would be in the way.
    """

    buckets: Buckets
    todo: pl.DataFrame
    stale: pl.DataFrame
    users: pl.Series | None

    @property
    def keys(self) -> pl.DataFrame:
        """user_id and date of the rows that are written or go."""
        return pl.concat([self.todo.select(KEY), self.stale.select(KEY)])


P = TypeVar("P")


@dataclass(frozen=True)
class Plan(Generic[P]):
    """The parts of a range of learners, at least one; how many learners, and rows that need nothing."""

    parts: list[P]
    n_learners: int
    n_unchanged: int


def cut(
    buckets: Buckets, days: pl.DataFrame, todo: pl.DataFrame, stale: pl.DataFrame, most_answers: int
) -> list[Part]:
    """Cut what is to be done into parts of at most so many answers; a bucket is never cut.

    Parameters
    ----------
    buckets
        The range that `days` are of.
    days
        Learners' days in scope: bucket, user_id, date, n_answers.
    todo, stale
        As in `Part`, of any number of learners; those of `todo` are in `days`.
    """
    of_learners = days.group_by("bucket", "user_id").agg(pl.col("n_answers").sum())
    wanted = of_learners.join(todo.select("user_id").unique(), on="user_id", how="semi")
    per_bucket = wanted.group_by("bucket").agg(pl.col("n_answers").sum()).sort("bucket")
    parts: list[Part] = []
    first, held = buckets.first, 0

    def end_at(last: int) -> None:
        inside = pl.col("bucket").is_between(first, last)
        present, mine = of_learners.filter(inside), wanted.filter(inside)
        rows = todo.join(mine, on="user_id", how="semi", maintain_order="left")
        users = mine["user_id"] if 2 * mine.height < present.height else None
        parts.append(Part(Buckets(first, last), rows, stale if not parts else stale.clear(), users))

    for bucket, n in per_bucket.iter_rows():
        if held and held + n > most_answers:
            end_at(bucket - 1)
            first, held = bucket, 0
        held += n
    end_at(buckets.last)
    return parts
