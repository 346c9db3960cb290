"""What a row was computed from, as one number: a row whose number is unchanged need not be computed again.

A digest stands for answers (which results, in which version), for what else a computation reads, and for
the code that computes. Two different inputs share one with a probability of about 1 in 10¹⁸.
"""

import datetime as dt
import hashlib

import polars as pl

from seedtest.irt import ItemParameters, Prior
from seedtest.version import code_version

KEY = ("user_id", "date")


def context_digest(*parts: object) -> int:
    """Return one number for what all rows of a run have in common, the code's version among it."""
    # polars' own hash, used below, is the same only within one version of it.
    text = "\x1f".join([code_version(), pl.__version__, *map(repr, parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def fit_digest(items: ItemParameters, prior: Prior) -> str:
    """Return a digest of the parameters and the prior that score answers."""
    content = hashlib.blake2b(repr((items.item_ids, prior)).encode(), digest_size=16)
    for values in (items.a, items.b, items.c):
        content.update(values.tobytes())
    return content.hexdigest()


def topics_digest(topics: pl.DataFrame) -> str:
    """Return a digest of the questions' topics."""
    return hashlib.blake2b(topics.write_csv().encode(), digest_size=16).hexdigest()


def window_digests(days: pl.DataFrame, rows: pl.DataFrame, n_days: int, context: int) -> pl.DataFrame:
    """Return the digest of each row of `rows` (user_id, date): of its learner's answers in a window.

    Parameters
    ----------
    days
        Learners' days: user_id, date, n_answers, content.
    rows
        user_id, the row's `date`, the `last_day` of its window of `n_days` days, and whatever else decides
        about the row's values.
    context
        That of `context_digest`.

    Returns
    -------
    pl.DataFrame
        user_id, date, digest, in the order of `rows`.
    """
    age_days = (pl.col("last_day") - pl.col("day")).dt.total_days()
    answers = (
        rows.select("user_id", "date", "last_day")
        .join(days.rename({"date": "day"}), on="user_id")
        .filter(age_days.is_between(0, n_days - 1))
        .group_by(KEY)
        .agg(pl.col("n_answers", "content").sum())
    )
    joined = rows.join(answers, on=list(KEY), how="left", maintain_order="left")
    values = pl.struct(pl.all().exclude("user_id", "date"))
    return joined.select(*KEY, digest=values.hash(context).reinterpret(signed=True))


def changed(digests: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `digests` that `known` does not hold with the same digest."""
    return digests.join(known, on=[*KEY, "digest"], how="anti", maintain_order="left")


def gone(digests: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return user_id and date of what is known but has no digest any more."""
    return known.join(digests, on=list(KEY), how="anti").select(KEY)


def on_days(rows: pl.DataFrame, first_day: dt.date, last_day: dt.date) -> pl.DataFrame:
    """Return user_id and date of the learners' days within a range."""
    return rows.filter(pl.col("date").is_between(first_day, last_day)).select(KEY)
