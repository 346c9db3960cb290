"""Answers simulated from known parameters."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from seedtest.irt import ItemParameters, Responses, probability
from seedtest.irt.parameters import FloatArray


@dataclass(frozen=True, eq=False)
class Simulation:
    """Answers of `u0000`… to `i000`…, and the truth behind them in the order of these ids."""

    frame: pl.DataFrame
    items: ItemParameters
    theta: FloatArray

    @property
    def responses(self) -> Responses:
        return Responses.from_frame(self.frame)


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
    items = ItemParameters.from_values(
        [f"i{number:03}" for number in range(n_items)],
        rng.lognormal(0.0, sd_log_a, n_items),
        rng.standard_normal(n_items),
    )
    drawn = rng.random((n_users, n_items)).argsort(axis=1)[:, : answers_each or n_items]
    user = np.repeat(np.arange(n_users), drawn.shape[1])
    item = drawn.ravel()
    correct = rng.random(item.size) < probability(items, theta)[item, user]
    frame = pl.DataFrame(
        {
            "user_id": [f"u{number:04}" for number in user],
            "item_id": [items.item_ids[number] for number in item],
            "correct": correct,
        }
    )
    return Simulation(frame, items, theta)
