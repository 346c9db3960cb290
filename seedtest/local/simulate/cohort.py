"""A cohort: its items, learners and goals, and its answers part by part."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from seedtest.local.simulate.answers import Answers, draw_answers
from seedtest.local.simulate.bank import ItemBank, draw_bank
from seedtest.local.simulate.learners import Learners, draw_goals, draw_learners, users_frame
from seedtest.local.simulate.plan import SLOTS_A_DAY, SimulationPlan
from seedtest.local.simulate.schedule import Schedule, draw_schedule

PURPOSE = 4
# Cells of the largest array that is drawn at once; this bounds the memory of any cohort.
CELLS = 1_000_000


@dataclass(frozen=True)
class Cohort:
    """Everybody's truth; `parts` yields the answers of some learners at a time, `answers` has them all."""

    plan: SimulationPlan
    bank: ItemBank
    learners: Learners
    items: pl.DataFrame
    users: pl.DataFrame
    goals: pl.DataFrame

    @property
    def users_a_part(self) -> int:
        """How many learners are drawn at once; the plan alone decides it, as parts have their own seeds."""
        rounds = -(-self.plan.answers // self.plan.items)
        widest = max(self.plan.items * rounds, self.plan.answers * 2, self.plan.days * SLOTS_A_DAY)
        return max(1, CELLS // widest)

    @property
    def n_parts(self) -> int:
        """How many frames `parts` yields."""
        return -(-self.plan.users // self.users_a_part)

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the answers, each with the θ it was given with, in order of learner and time."""
        for number in range(self.n_parts):
            first = number * self.users_a_part
            learners = self.learners.part(slice(first, first + self.users_a_part))
            rng = self.plan.generator(PURPOSE, number)
            schedule = draw_schedule(rng, self.plan, learners)
            yield _frame(
                self.plan, self.bank, learners, schedule, draw_answers(rng, self.bank, learners, schedule)
            )

    @cached_property
    def answers(self) -> pl.DataFrame:
        """All answers at once."""
        return pl.concat(self.parts())


def simulate(plan: SimulationPlan) -> Cohort:
    """Draw a cohort; the same plan gives the same cohort."""
    bank, learners = draw_bank(plan), draw_learners(plan)
    return Cohort(
        plan=plan,
        bank=bank,
        learners=learners,
        items=bank.frame,
        users=users_frame(plan, learners),
        goals=draw_goals(plan, learners, bank.topic_ids),
    )


def write_truth(cohort: Cohort, folder: Path) -> tuple[Path, ...]:
    """Write items.parquet, users.parquet and answers.parquet, part by part; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{name}.parquet" for name in ("items", "users", "answers"))
    cohort.items.write_parquet(paths[0])
    cohort.users.write_parquet(paths[1])
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        parts = [Path(scratch) / f"part-{number}.parquet" for number in range(cohort.n_parts)]
        for path, part in zip(parts, cohort.parts(), strict=True):
            part.write_parquet(path)
        whole = Path(scratch) / paths[2].name
        pl.scan_parquet(parts).sink_parquet(whole)
        whole.replace(paths[2])
    return paths


def _frame(
    plan: SimulationPlan, bank: ItemBank, learners: Learners, schedule: Schedule, answers: Answers
) -> pl.DataFrame:
    """Lay the arrays of a part out as a table, one row an answer."""
    n_answers = answers.item.shape[1]
    item = answers.item.ravel()
    start = dt.datetime.combine(plan.start, dt.time(), dt.UTC)
    width = len(str(schedule.size.shape[1]))
    session = pl.col("session_no").cast(pl.String).str.zfill(width)
    return (
        pl.DataFrame(
            {
                "user_id": np.repeat(learners.ids, n_answers),
                "session_no": schedule.session.ravel() + 1,
                "ordinal": schedule.position.ravel().astype(np.int32) + 1,
                "item_id": bank.ids[item],
                "topic_id": np.array(bank.topic_ids)[bank.topic[item]],
                "theta": answers.theta.ravel(),
                "correct": answers.correct.ravel(),
                "is_repeat": answers.is_repeat.ravel(),
                "response_time_ms": pl.Series(answers.response_time_ms.ravel(), nan_to_null=True).cast(
                    pl.Int32
                ),
                "hints": answers.hints.ravel(),
                "answered_us": answers.answered_us.ravel(),
            }
        )
        .with_columns(
            pl.concat_str("user_id", pl.lit("-s"), session).alias("session_id"),
            pl.when(pl.col("hints") >= 0).then("hints").cast(pl.Int32).alias("hints"),
            (pl.lit(start) + pl.duration(microseconds="answered_us"))
            .cast(pl.Datetime("us", "UTC"))
            .alias("answered_at"),
        )
        .drop("session_no", "answered_us")
    )
