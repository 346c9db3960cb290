"""The learners: ability, topics they are good at, pace, growth, when they come and go, and goals."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seedtest.local.simulate.plan import MIN_SESSION_ANSWERS, SLOTS_A_DAY, SimulationPlan

PURPOSE, GOAL_PURPOSE = 2, 3

# Not the standard normal: without the anchors, a calibration is off by these, and linking mends it.
ABILITY_MEAN, ABILITY_SD = 0.3, 1.2
TOPIC_SD = 0.15
# What a learner can gain over time, in logits; lognormal.
GROWTH_MEDIAN, GROWTH_LOG_SD = 0.4, 0.4
# Spread of the learners' pace on the log scale of seconds.
LOG_PACE_SD = 0.25

DROPOUT_SHARE, DROPOUT_AFTER = 0.12, (0.3, 0.75)
LATE_SHARE, LATE_BEFORE = 0.15, 0.5
# Learners who certainly learn on the last day, so that it has answers in the smallest cohort.
LAST_DAY_SHARE = 0.1

GOAL_SHARE = 0.6
MAX_GOALS = 3


@dataclass(frozen=True)
class Learners:
    """Learners as arrays (n_users, …); days count from the plan's first."""

    ids: NDArray[np.str_]
    ability: NDArray[np.float64]
    topic_offset: NDArray[np.float64]
    growth: NDArray[np.float64]
    log_pace: NDArray[np.float64]
    first_day: NDArray[np.int64]
    last_day: NDArray[np.int64]
    is_there_at_end: NDArray[np.bool_]

    def part(self, rows: slice) -> "Learners":
        """Return some of the learners."""
        return Learners(*(values[rows] for values in vars(self).values()))


def draw_learners(plan: SimulationPlan) -> Learners:
    """Draw the learners; the first one is there from the beginning to the end."""
    rng = plan.generator(PURPOSE)
    n = plan.users
    width = len(str(n))
    first_day, last_day = _stay(rng, plan)
    stays = last_day == plan.days - 1
    return Learners(
        ids=np.array([f"{plan.key}-u{number:0{width}}" for number in range(1, n + 1)]),
        ability=rng.normal(ABILITY_MEAN, ABILITY_SD, n),
        topic_offset=rng.normal(0.0, TOPIC_SD, (n, plan.topics)),
        growth=GROWTH_MEDIAN * np.exp(rng.normal(0.0, GROWTH_LOG_SD, n)),
        log_pace=rng.normal(0.0, LOG_PACE_SD, n),
        first_day=first_day,
        last_day=last_day,
        is_there_at_end=stays & ((rng.random(n) < LAST_DAY_SHARE) | (np.arange(n) == 0)),
    )


def _stay(rng: np.random.Generator, plan: SimulationPlan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the first and last day of each: some leave early, some come late, all have time to answer."""
    n = plan.users
    most_sessions = max(1, plan.answers // MIN_SESSION_ANSWERS)
    needed = -(-most_sessions // SLOTS_A_DAY)
    kind = rng.random(n)
    when = rng.random(n)
    leaves = (kind < DROPOUT_SHARE) & (np.arange(n) > 0)
    comes_late = (kind > 1.0 - LATE_SHARE) & (np.arange(n) > 0)
    leaving = DROPOUT_AFTER[0] + when * (DROPOUT_AFTER[1] - DROPOUT_AFTER[0])
    last = np.where(leaves, np.maximum(leaving * plan.days, needed - 1), plan.days - 1).astype(np.int64)
    first = np.where(comes_late, np.minimum(when * LATE_BEFORE * plan.days, plan.days - needed), 0)
    return first.astype(np.int64), last


def users_frame(plan: SimulationPlan, learners: Learners) -> pl.DataFrame:
    """Return the learners' truth as a table."""
    start = pl.lit(plan.start)
    return (
        pl.DataFrame(
            {
                "user_id": learners.ids,
                "ability": learners.ability,
                "growth": learners.growth,
                "log_pace": learners.log_pace,
                "topic_offsets": pl.Series(learners.topic_offset, dtype=pl.Array(pl.Float64, plan.topics)),
                "first_day": learners.first_day,
                "last_day": learners.last_day,
            }
        )
        .with_columns(
            (start + pl.duration(days="first_day")).cast(pl.Date).alias("joined_on"),
            (start + pl.duration(days="last_day")).cast(pl.Date).alias("last_day_on"),
            (pl.col("last_day") < plan.days - 1).alias("dropped_out"),
        )
        .drop("first_day", "last_day")
    )


def draw_goals(plan: SimulationPlan, learners: Learners, topic_ids: tuple[str, ...]) -> pl.DataFrame:
    """Return the rows of `interest_goal`: one to three topics for most learners, a bit above their θ."""
    rng = plan.generator(GOAL_PURPOSE)
    n = plan.users
    most = min(MAX_GOALS, plan.topics)
    counts = np.where(rng.random(n) < GOAL_SHARE, rng.integers(1, most + 1, n), 0)
    ranks = rng.random((n, plan.topics)).argsort(axis=1)
    user, position = np.nonzero(np.arange(most) < counts[:, None])
    topic = ranks[user, position]
    level = learners.ability[user] + learners.topic_offset[user, topic] + rng.normal(0.4, 0.4, user.size)
    return pl.DataFrame(
        {
            "user_id": learners.ids[user],
            "topic_id": np.array(topic_ids)[topic],
            "interest": rng.integers(1, 6, user.size),
            "target_level": level.round(2),
            "priority": rng.integers(0, 4, user.size),
            "days_left": rng.integers(14, 91, user.size),
        },
    ).select(
        "user_id",
        "topic_id",
        "interest",
        "target_level",
        (pl.lit(plan.end) + pl.duration(days="days_left")).cast(pl.Date).alias("target_date"),
        "priority",
        pl.lit(dt.datetime.combine(plan.start, dt.time(), dt.UTC)).alias("updated_at"),
    )
