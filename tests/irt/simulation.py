"""Answers simulated from known parameters."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from seedtest.irt import ItemParameters, Responses, probability
from seedtest.irt.parameters import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Simulation:
    """Answers of `u0000`… to `i000`…, and the truth behind them in the order of these ids."""

    frame: pl.DataFrame
    items: ItemParameters
    theta: FloatArray

    @property
    def responses(self) -> Responses:
        return Responses.from_frame(self.frame)


@dataclass(frozen=True, eq=False)
class Answers:
    """Positions of learners and items, and verdicts, each (n_answers,)."""

    user: IntArray
    item: IntArray
    correct: BoolArray


def draw_items(rng: np.random.Generator, n_items: int, sd_log_a: float = 0.3) -> ItemParameters:
    """2PL items with a ~ lognormal(0, sd²) and b ~ N(0, 1)."""
    ids = [f"i{number:03}" for number in range(n_items)]
    return ItemParameters.from_values(
        ids, rng.lognormal(0.0, sd_log_a, n_items), rng.standard_normal(n_items)
    )


def draw_answers(
    rng: np.random.Generator, items: ItemParameters, theta: FloatArray, answers_each: int
) -> Answers:
    """Every learner answers `answers_each` items, drawn without replacement."""
    drawn = rng.random((theta.size, len(items))).argsort(axis=1)[:, :answers_each]
    user = np.repeat(np.arange(theta.size), drawn.shape[1])
    item = drawn.ravel()
    correct = rng.random(item.size) < probability(items, theta)[item, user]
    return Answers(user, item, correct)


def simulate(
    seed: int,
    n_users: int,
    n_items: int,
    answers_each: int | None = None,
    sd_log_a: float = 0.3,
) -> Simulation:
    """Every learner answers `answers_each` items (default: all), drawn without replacement."""
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(n_users)
    items = draw_items(rng, n_items, sd_log_a)
    answers = draw_answers(rng, items, theta, answers_each or n_items)
    frame = pl.DataFrame(
        {
            "user_id": [f"u{number:04}" for number in answers.user],
            "item_id": [items.item_ids[number] for number in answers.item],
            "correct": answers.correct,
        }
    )
    return Simulation(frame, items, theta)
