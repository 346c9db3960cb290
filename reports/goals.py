"""How a learner's goals stand: θ in the topic against the target, and the pace that is left to go."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from reports.bank import Bank
from reports.measures import pace_rows
from reports.model import Goal, GoalStatus, PaceOf
from reports.period import Period
from reports.queries import Source
from seedtest.kpis import goal_probability
from seedtest.settings import Repeats


def goal_rows(
    source: Source, topics: pl.DataFrame, period: Period, bank: Bank, repeats: Repeats
) -> pl.DataFrame:
    """Return each goal with θ and the pace in its topic, the pace over all where the topic shows none.

    The first priority comes first.
    """
    keys = ["user_id", "topic_id"]
    answers = source.answers.join(source.goals, on="user_id", how="semi")
    in_topics = answers.join(source.goals, on=keys, how="semi")
    own = pace_rows(in_topics, period, bank, repeats, by=keys).with_columns(
        shown_of=pl.lit(PaceOf.TOPIC.value)
    )
    overall = pace_rows(answers, period, bank, repeats, by=["user_id"]).with_columns(
        shown_of=pl.lit(PaceOf.ALL.value)
    )
    pace = ("shown_per_week", "shown_se", "shown_of")
    return (
        source.goals.join(topics.select(*keys, "theta", "se"), on=keys, how="left")
        .join(own, on=keys, how="left")
        .join(overall, on="user_id", how="left", suffix="_all")
        .with_columns(pl.coalesce(name, f"{name}_all").alias(name) for name in pace)
        .with_columns(target=pl.col("target_level"))
        .with_columns(probability=goal_probability())
        .drop("target", *(f"{name}_all" for name in pace))
        .sort("user_id", "priority", "target_date", "topic_id", descending=[False, True, False, False])
    )


def goals_of(rows: Sequence[Mapping[str, Any]], week_end: dt.date) -> tuple[Goal, ...]:
    """Return a learner's goals from the rows of `goal_rows`."""
    return tuple(_goal(row, week_end) for row in rows)


def _goal(row: Mapping[str, Any], week_end: dt.date) -> Goal:
    day: dt.date | None = row["target_date"]
    shown_of = row["shown_of"] and PaceOf(row["shown_of"])
    stand = _Stand(
        gap=_gap(row),
        weeks_left=None if day is None else (day - week_end).days / 7,
        shown=row["shown_per_week"],
        shown_se=row["shown_se"],
    )
    values = dict(row) | {"shown_of": shown_of, "weeks_left": stand.weeks_left}
    return Goal(**values, needed_per_week=stand.needed, status=stand.status)


def _gap(row: Mapping[str, Any]) -> float | None:
    if row["theta"] is None or row["target_level"] is None:
        return None
    return float(row["target_level"] - row["theta"])


@dataclass(frozen=True)
class _Stand:
    """A goal's `gap`, from θ in the topic up to the target (logits), and what there is to close it."""

    gap: float | None
    weeks_left: float | None
    shown: float | None
    shown_se: float | None

    @property
    def needed(self) -> float | None:
        """Logits a week to the target on its day."""
        if self.gap is None or self.weeks_left is None:
            return None
        if self.gap <= 0:
            return 0.0
        return self.gap / self.weeks_left if self.weeks_left > 0 else None

    @property
    def status(self) -> GoalStatus:
        """How the goal stands; behind is who falls short of the pace by more than its standard error."""
        if self.gap is None:
            return GoalStatus.UNKNOWN
        if self.gap <= 0:
            return GoalStatus.REACHED
        if self.weeks_left is not None and self.weeks_left <= 0:
            return GoalStatus.OVERDUE
        if self.needed is None or self.shown is None or self.shown_se is None:
            return GoalStatus.OPEN
        if self.shown >= self.needed:
            return GoalStatus.ON_PACE
        return GoalStatus.BEHIND if self.needed - self.shown > self.shown_se else GoalStatus.OPEN
