"""Answers as the contract wants them."""

import csv
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from seedtest.irt import ItemParameters, probability
from tests.irt.simulation import simulate

Observations: TypeAlias = list[dict[str, Any]]


def observation(user_id: str, item_id: str, is_correct: object) -> dict[str, Any]:
    return {"user_id": user_id, "item_id": item_id, "is_correct": is_correct}


def lsat7(path: Path) -> Observations:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        observation(f"taker-{number:04}", item_id, verdict == "1")
        for number, row in enumerate(rows)
        for item_id, verdict in row.items()
    ]


def simulated(
    seed: int, n_users: int, n_items: int, *, mean: float = 0.0, sd: float = 1.0, c: float = 0.0
) -> tuple[Observations, ItemParameters]:
    """Every learner of N(mean, sd²) answers every item; with the items' true parameters."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(mean, sd, n_users)
    items = ItemParameters.from_values(
        [f"Q{number}" for number in range(n_items)],
        rng.lognormal(0.1, 0.2, n_items),
        np.linspace(-1.5, 1.5, n_items),
        c,
    )
    right = rng.random((n_items, n_users)) < probability(items, theta)
    return [
        observation(f"u{user}", item_id, bool(right[item, user]))
        for user in range(n_users)
        for item, item_id in enumerate(items.item_ids)
    ], items


def sparse(seed: int, n_users: int, n_items: int, answers_each: int) -> Observations:
    """Every learner answers some of the items."""
    frame = simulate(seed, n_users, n_items, answers_each).frame
    return [observation(*row) for row in frame.rows()]


def anchor(item_id: str, a: float, b: float, *, fixed: bool, c: float = 0.0) -> dict[str, Any]:
    return {"item_id": item_id, "params": {"a": a, "b": b, "c": c}, "fixed": fixed}
