"""θ of windows: the EAP ability from a window's answers alone, many windows at a time.

Item parameters and the prior are those of the fit in force, so all windows are on one scale. Windows
without a counted answer to a calibrated item have no θ (null), never 0.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import pairwise

import polars as pl

from seedtest.irt import ItemParameters, Prior, score_groups
from seedtest.settings import Repeats
from seedtest.windows import ANSWER_ORDER, DAY, Frame, first_day, within

TOPIC_THETA_DAYS = 60
"""Days of answers behind a learner's θ in a topic (domain §2, `student_topic_theta`, and §4)."""

ANSWERS_PER_CHUNK = 2_000_000
"""Answers scored at once, over all windows of a chunk: bounds the memory, not the result."""


def counted(attempts: pl.DataFrame, repeats: Repeats, by: Sequence[str]) -> pl.DataFrame:
    """Return the answers that MIRT_REPEATS lets count, one for each `by` + item_id unless "all".

    The first or the latest by (completed_at, result_id, ordinal). The rows come in that order.
    """
    return _one_a_group(attempts.sort(ANSWER_ORDER), repeats, [*by, "item_id"])


def window_theta(
    attempts: pl.DataFrame,
    windows: pl.DataFrame,
    items: ItemParameters,
    prior: Prior,
    repeats: Repeats,
    *,
    by: Sequence[str],
    answers_per_chunk: int = ANSWERS_PER_CHUNK,
) -> pl.DataFrame:
    """Estimate θ for each window from its own answers to calibrated items.

    MIRT_REPEATS is applied within a window: "first" is the first answer to an item among the answers
    of that window, whatever came before it. A window's result depends on its own answers only, to the
    last bit, so that a backfill and a nightly run write equal bytes.

    Parameters
    ----------
    attempts
        Answers: `by`, item_id, correct, completed_at, result_id, ordinal.
    windows
        One row a window: the columns `by`, `first_day` and `last_day` (dates, both included).
        They may overlap.
    items, prior
        Of the fit in force.
    repeats
        Which answers to one item count.
    by
        The key columns, such as user_id or user_id and topic_id. A null key has no answers.
    answers_per_chunk
        Answers scored at once, over all windows of a chunk; a learner's windows stay together.

    Returns
    -------
    pl.DataFrame
        `windows`, its rows in their order, with `theta` and `se` (logits, null without an answer
        that counts), `n` (answers that count: chosen by `repeats`, on calibrated items) and
        `newest_at` (completed_at of the newest of them).
    """
    numbered = windows.select(*by, "first_day", "last_day").with_row_index("window")
    answers, keyed = _by_key(attempts, numbered, items, by)
    chunks = [_score(*chunk, items, prior, repeats) for chunk in _chunks(answers, keyed, answers_per_chunk)]
    scored = pl.concat(chunks).sort("window").drop("window")
    return windows.hstack(scored)


def topic_abilities(
    attempts: pl.DataFrame, as_of_date: dt.date, items: ItemParameters, prior: Prior, repeats: Repeats
) -> pl.DataFrame:
    """Estimate each learner's θ in each topic from the topic's answers of the last 60 days.

    Returns user_id, topic_id, theta, se, n and as_of (completed_at of the newest answer that counts),
    sorted by key. A topic without an answer to a calibrated item has no row.
    """
    first = first_day(as_of_date, TOPIC_THETA_DAYS)
    recent = within(attempts, first, as_of_date).filter(pl.col("topic_id").is_not_null())
    windows = (
        recent.select("user_id", "topic_id")
        .unique()
        .sort("user_id", "topic_id")
        .with_columns(first_day=pl.lit(first), last_day=pl.lit(as_of_date))
    )
    scored = window_theta(recent, windows, items, prior, repeats, by=["user_id", "topic_id"])
    return scored.filter(pl.col("n") > 0).select(
        "user_id", "topic_id", "theta", "se", "n", as_of=pl.col("newest_at")
    )


def _one_a_group(ordered: Frame, repeats: Repeats, group: Sequence[str]) -> Frame:
    if repeats == "all":
        return ordered
    return ordered.unique(group, keep="first" if repeats == "first" else "last", maintain_order=True)


def _by_key(
    attempts: pl.DataFrame, numbered: pl.DataFrame, items: ItemParameters, by: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Replace the key columns of both frames by one number, and sort both by it.

    Of the answers, those to calibrated items on the days of any window.
    """
    index = pl.DataFrame({"item_id": pl.Series(items.item_ids, dtype=pl.String)}).with_row_index("item")
    # As an Enum, an item that nobody answered is no category: not strictly, it becomes null.
    calibrated = index.with_columns(pl.col("item_id").cast(attempts.schema["item_id"], strict=False))
    keys = numbered.select(by).unique().sort(by).with_row_index("key")
    keyed_answers = (
        attempts.lazy()
        .filter(DAY.is_between(numbered["first_day"].min(), numbered["last_day"].max()))
        .join(calibrated.drop_nulls().lazy(), on="item_id")
        .join(keys.lazy(), on=list(by))
        .sort("key", *ANSWER_ORDER)
        .select("key", "item", "correct", "completed_at", day=DAY)
        .collect()
    )
    keyed_windows = numbered.join(keys, on=list(by), nulls_equal=True).sort("key", "window")
    return keyed_answers, keyed_windows.select("key", "window", "first_day", "last_day")


def _chunks(
    answers: pl.DataFrame, windows: pl.DataFrame, answers_per_chunk: int
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Cut both frames between keys, before the windows of a chunk hold too many answers in all."""
    answers_a_key = answers.group_by("key").len("n_answers")
    load = windows.join(answers_a_key, on="key", how="left", maintain_order="left").select(
        "key", chunk=pl.col("n_answers").fill_null(0).cast(pl.Int64).cum_sum() // answers_per_chunk
    )
    # A key's windows stay together: the chunk of its first window is the chunk of all.
    first_keys = load.group_by("key").agg(pl.col("chunk").min()).group_by("chunk").agg(pl.col("key").min())
    bounds = first_keys["key"].sort()
    for start, stop in pairwise([0, *bounds[1:], None]):
        yield _key_range(answers, start, stop), _key_range(windows, start, stop)


def _key_range(frame: pl.DataFrame, start: int, stop: int | None) -> pl.DataFrame:
    """Return the rows of the keys `start` to `stop` − 1 of a frame sorted by key."""
    keys = frame["key"]
    from_row = keys.search_sorted(start, side="left")
    to_row = len(keys) if stop is None else keys.search_sorted(stop, side="left")
    return frame.slice(from_row, to_row - from_row)


def _score(
    answers: pl.DataFrame, windows: pl.DataFrame, items: ItemParameters, prior: Prior, repeats: Repeats
) -> pl.DataFrame:
    """Score the windows of one chunk: window, theta, se, n, newest_at."""
    groups = windows.with_row_index("group")
    inside = (
        answers.lazy()
        .join(groups.lazy(), on="key", maintain_order="left")
        .filter(pl.col("day").is_between(pl.col("first_day"), pl.col("last_day")))
        .select("group", "item", "correct", "completed_at")
    )
    used = _one_a_group(inside, repeats, ["group", "item"]).collect()
    scores = score_groups(
        items,
        used["group"].cast(pl.Int32).to_numpy(),
        used["item"].cast(pl.Int32).to_numpy(),
        used["correct"].to_numpy(),
        len(groups),
        prior,
    )
    newest = used.group_by("group").agg(newest_at=pl.col("completed_at").max())
    has_answers = pl.col("n") > 0
    return (
        groups.select("group", "window")
        .with_columns(
            theta=pl.Series(scores.theta, dtype=pl.Float64),
            se=pl.Series(scores.se, dtype=pl.Float64),
            n=pl.Series(scores.n, dtype=pl.Int64),
        )
        .join(newest, on="group", how="left", maintain_order="left")
        # No answer is null; NaN where there are answers stays, so that bad parameters are seen.
        .select(
            "window",
            pl.when(has_answers).then("theta"),
            pl.when(has_answers).then("se"),
            "n",
            "newest_at",
        )
    )
