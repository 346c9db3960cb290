"""The item bank: true 2PL parameters, topics, anchors and starting values."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from seedtest.local.simulate.plan import SimulationPlan

PURPOSE = 1

# Discrimination is lognormal and difficulty normal. The spread of the discrimination is what a
# calibration with 200 answers an item can still tell apart.
LOG_A_MEAN, LOG_A_SD = 0.1, 0.5
B_MEAN, B_SD = 0.0, 1.0
ANCHOR_SHARE = 0.18
MIN_ANCHORS = 2
STARTING_SHARE = 0.3
STARTING_LOG_A_SD, STARTING_B_SD = 0.15, 0.3
# Seconds that an item takes are lognormal around its learner's; this is the spread over items.
LOG_TIME_SD = 0.25

MODEL, VERSION = "2PL", "v1"
TOPIC_NAMES = (
    "algebra",
    "geometry",
    "functions",
    "probability",
    "statistics",
    "trigonometry",
    "calculus",
    "number-theory",
    "combinatorics",
    "vectors",
    "sequences",
    "logic",
)


@dataclass(frozen=True)
class ItemBank:
    """Items as arrays (n_items,); `topic` indexes `topic_ids`. `frame` is their truth as a table."""

    ids: NDArray[np.str_]
    topic_ids: tuple[str, ...]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    topic: NDArray[np.int64]
    log_time: NDArray[np.float64]
    frame: pl.DataFrame


def draw_bank(plan: SimulationPlan) -> ItemBank:
    """Draw the items; the difficulties of the anchors are spread evenly over the bank's."""
    rng = plan.generator(PURPOSE)
    n = plan.items
    # Rounded, so that meta.irt, the truth file and the answers are about the very same numbers.
    a = np.exp(LOG_A_MEAN + LOG_A_SD * _stratified_normal(rng, n)).round(4)
    b = (B_MEAN + B_SD * _stratified_normal(rng, n)).round(4)
    topic = rng.permutation(np.arange(n) % plan.topics)
    log_time = rng.normal(0.0, LOG_TIME_SD, n)
    width = len(str(n))
    ids = np.array([f"{plan.key}-q{number:0{width}}" for number in range(1, n + 1)])
    topic_ids = tuple(_topic_id(number) for number in range(plan.topics))
    frame = pl.DataFrame(
        {
            "item_id": ids,
            "topic_id": np.array(topic_ids)[topic],
            "a": a,
            "b": b,
            "is_anchor": _is_anchor(b),
        }
    ).with_columns(_starting_values(rng, a, b))
    return ItemBank(ids, topic_ids, a, b, topic, log_time, frame)


def _stratified_normal(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Draw n standard normal numbers, one from each n-th of the distribution, in any order.

    Even a small bank covers the scale then, whatever the seed (n,).
    """
    return np.asarray(ndtri((rng.permutation(n) + rng.uniform(0.02, 0.98, n)) / n), np.float64)


def _topic_id(number: int) -> str:
    return TOPIC_NAMES[number] if number < len(TOPIC_NAMES) else f"topic-{number + 1}"


def _is_anchor(b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark as anchors the items at evenly spaced ranks of difficulty (n_items,)."""
    count = min(b.size, max(MIN_ANCHORS, round(ANCHOR_SHARE * b.size)))
    ranks = ((np.arange(count) + 0.5) / count * b.size).astype(int)
    is_anchor = np.zeros(b.size, bool)
    is_anchor[np.argsort(b)[ranks]] = True
    return is_anchor


def _starting_values(
    rng: np.random.Generator, a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[pl.Series, pl.Series]:
    """Return noisy parameters for some items, null for the others."""
    is_known = rng.random(a.size) < STARTING_SHARE
    near_a = (a * np.exp(rng.normal(0.0, STARTING_LOG_A_SD, a.size))).round(4)
    near_b = (b + rng.normal(0.0, STARTING_B_SD, b.size)).round(4)
    return (
        pl.Series("starting_a", np.where(is_known, near_a, np.nan), nan_to_null=True),
        pl.Series("starting_b", np.where(is_known, near_b, np.nan), nan_to_null=True),
    )


def questions(bank: ItemBank) -> pl.DataFrame:
    """Return the rows of `question`: anchors carry the true parameters, some others starting values."""
    is_anchor = pl.col("is_anchor")
    a = pl.when(is_anchor).then("a").otherwise("starting_a")
    b = pl.when(is_anchor).then("b").otherwise("starting_b")
    irt = pl.struct(
        a.alias("a"), b.alias("b"), c=pl.lit(None, pl.Float64), model=pl.lit(MODEL), version=pl.lit(VERSION)
    ).struct.json_encode()
    tags = pl.when(is_anchor).then(pl.lit('["anchor", "simulated"]')).otherwise(pl.lit('["simulated"]'))
    known = pl.concat_str(pl.lit('{"irt": '), irt, pl.lit(', "tags": '), tags, pl.lit("}"))
    unknown = pl.concat_str(pl.lit('{"tags": '), tags, pl.lit("}"))
    return bank.frame.select(
        pl.col("item_id").alias("id"),
        pl.concat_str(pl.lit("Simulated item "), "item_id", pl.lit(" on "), "topic_id").alias("content"),
        "topic_id",
        pl.when(a.is_null()).then(unknown).otherwise(known).alias("meta"),
    )
