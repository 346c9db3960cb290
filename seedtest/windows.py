"""The answers that the computations read, and windows of whole UTC days over them.

A window of N days as of a day ends with that day and holds N whole days: `as_of − (N − 1)` to
`as_of`, both included. All of them are cut on the date (UTC) of an answer's `completed_at`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

ATTEMPTS: Mapping[str, pl.DataType] = {
    "user_id": pl.String(),
    "item_id": pl.String(),
    "topic_id": pl.String(),
    "session_id": pl.String(),
    "correct": pl.Boolean(),
    "response_time_ms": pl.Int32(),
    "hints": pl.Int32(),
    "hint_used": pl.Boolean(),
    "completed_at": pl.Datetime("us", "UTC"),
    "result_id": pl.String(),
    "ordinal": pl.Int32(),
}
"""One row an answer; null: `topic_id`, `response_time_ms`, `hints`, `hint_used` when unknown."""

ANSWER_ORDER = ("completed_at", "result_id", "ordinal")
"""What decides which of a learner's answers to one item is the first or the latest."""

DAY = pl.col("completed_at").dt.date()
"""The UTC day of an answer."""

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
"""What is written once for both: lazily, many steps cost one call."""


@dataclass(frozen=True)
class KpiWeek:
    """One row of a learner's KPIs: the ISO week from `week_start`, measured at the end of `as_of`."""

    week_start: dt.date
    as_of: dt.date


def monday_of(date: dt.date) -> dt.date:
    """Return the Monday of a day's ISO week."""
    return date - dt.timedelta(days=date.weekday())


def kpi_weeks(date: dt.date) -> tuple[KpiWeek, KpiWeek]:
    """Return the last completed week before `date`'s own, and `date`'s own, the running one."""
    running = monday_of(date)
    completed = running - dt.timedelta(days=7)
    return KpiWeek(completed, completed + dt.timedelta(days=6)), KpiWeek(running, date)


def first_day(last_day: dt.date, days: int) -> dt.date:
    """Return the first day of the window of `days` days that ends with `last_day`."""
    return last_day - dt.timedelta(days=days - 1)


def within(attempts: Frame, first: dt.date, last: dt.date) -> Frame:
    """Return the answers of the days `first` to `last`, both included."""
    return attempts.filter(DAY.is_between(first, last))


def conform(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return the columns of `schema` alone, in its types; polars' own error names what is missing.

    Text may also come as an Enum of the texts there are, which groups and joins faster; it stays one.
    """
    return frame.select(
        pl.col(name)
        if dtype == pl.String and isinstance(frame.schema.get(name), pl.Enum)
        else pl.col(name).cast(dtype)
        for name, dtype in schema.items()
    )


def as_enum(texts: pl.Series) -> pl.Series:
    """Return texts as an Enum of them, which sorts as they do."""
    return texts.cast(pl.Enum(texts.drop_nulls().unique().sort()))
