"""Answers of many learners, made in chunks and copied into `exam_results` as the platform stores them."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import sqlalchemy as sa
from scipy.special import expit
from sqlalchemy.engine import Engine

from seedtest.db.frames import copy_rows, upsert
from seedtest.db.schema import Base

ANSWERS_A_SESSION = 10
TOPICS_A_SESSION = 2
SESSIONS_A_CHUNK = 50_000
# How unequally busy learners are: the spread of the logarithm of their sessions.
BUSYNESS_SD = 0.6


@dataclass(frozen=True)
class Size:
    """How much there is: `attempts` answers in the window, and as many in the days before it."""

    attempts: int
    learners: int
    items: int = 5_000
    topics: int = 40
    window_days: int = 56
    last_day: dt.date = dt.date(2026, 6, 30)

    @property
    def first_day(self) -> dt.date:
        """The first day with answers: as long before the window as the window is long."""
        return self.last_day - dt.timedelta(days=2 * self.window_days - 1)

    @property
    def sessions(self) -> int:
        """Sessions in all, of the window and of the days before it."""
        return 2 * self.attempts // ANSWERS_A_SESSION


def fill(engine: Engine, size: Size, tell: Callable[[str], object]) -> None:
    """Fill the source tables, and publish the items' true parameters as a fit's."""
    rng = np.random.default_rng(8)
    bank = _bank(rng, size)
    weights = rng.lognormal(0.0, BUSYNESS_SD, size.learners)
    theta = rng.normal(size=size.learners)
    with engine.begin() as connection:
        copy_rows(connection, "question", bank.select("id", "content", "topic_id"))
        _publish(connection, bank)
    done = 0
    for sessions in _chunks(rng, size, weights / weights.sum()):
        with engine.begin() as connection:
            copy_rows(connection, "exam_results", _results(rng, sessions, bank, theta, size))
        done += sessions.height
        tell(f"{done * ANSWERS_A_SESSION:,} of {size.sessions * ANSWERS_A_SESSION:,} answers")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))


def one_more_day(engine: Engine, size: Size) -> dt.date:
    """Add a day's results after the last one; return that day."""
    rng = np.random.default_rng(9)
    bank = _bank(np.random.default_rng(8), size)
    day = size.last_day + dt.timedelta(days=1)
    n = size.attempts // size.window_days // ANSWERS_A_SESSION
    sessions = pl.DataFrame(
        {
            "learner": rng.integers(size.learners, size=n),
            "second": rng.integers(86_400, size=n),
            "number": np.arange(size.sessions, size.sessions + n),
        }
    ).with_columns(date=pl.lit(day))
    with engine.begin() as connection:
        copy_rows(
            connection, "exam_results", _results(rng, sessions, bank, rng.normal(size=size.learners), size)
        )
    return day


def _bank(rng: np.random.Generator, size: Size) -> pl.DataFrame:
    number = np.arange(size.items)
    return pl.DataFrame(
        {
            "id": [f"Q{i:05d}" for i in number],
            "content": [f"Question {i}" for i in number],
            "topic_id": [f"topic-{i * size.topics // size.items:02d}" for i in number],
            "a": rng.lognormal(0.1, 0.3, size.items),
            "b": rng.normal(size=size.items),
        }
    )


def _chunks(rng: np.random.Generator, size: Size, weights: np.ndarray) -> Iterator[pl.DataFrame]:
    """Give the sessions in the order of their days, as a platform's table grows."""
    days = 2 * size.window_days
    second = np.sort(rng.integers(days * 86_400, size=size.sessions))
    for start in range(0, size.sessions, SESSIONS_A_CHUNK):
        part = second[start : start + SESSIONS_A_CHUNK]
        learner = rng.choice(size.learners, len(part), p=weights)
        number = np.arange(start, start + len(part))
        frame = pl.DataFrame(
            {"learner": learner, "second": part % 86_400, "number": number, "day": part // 86_400}
        )
        yield frame.with_columns(date=pl.lit(size.first_day) + pl.duration(days="day"))


def _results(
    rng: np.random.Generator, sessions: pl.DataFrame, bank: pl.DataFrame, theta: np.ndarray, size: Size
) -> pl.DataFrame:
    """Return rows of exam_results, a session each, with its answers as JSON."""
    n, k = sessions.height, ANSWERS_A_SESSION
    items_a_topic = size.items // size.topics
    topic = rng.integers(size.topics, size=(n, TOPICS_A_SESSION)).repeat(k // TOPICS_A_SESSION, axis=1)
    item = (topic * items_a_topic + rng.integers(items_a_topic, size=(n, k))).ravel()
    a, b = bank["a"].to_numpy()[item], bank["b"].to_numpy()[item]
    chance = expit(a * (theta[sessions["learner"].to_numpy()].repeat(k) - b))
    answers = pl.DataFrame(
        {
            "session": np.arange(n).repeat(k),
            "item": item,
            "correct": rng.random(n * k) < chance,
            "seconds": np.clip(rng.lognormal(3.3, 0.6, n * k), 1, 900).round(1),
            "hints": rng.poisson(0.2, n * k),
        }
    )
    ids = bank.select(item=pl.int_range(pl.len()), question_id="id")
    questions = (
        answers.join(ids, on="item", how="left", maintain_order="left")
        .select(
            "session",
            question=pl.struct(
                "question_id", is_correct="correct", time_spent_sec="seconds", used_hints="hints"
            ).struct.json_encode(),
        )
        .group_by("session", maintain_order=True)
        .agg(pl.col("question").str.join(", "))
    )
    at = pl.col("date").cast(pl.Datetime("us", "UTC")) + pl.duration(seconds="second")
    return sessions.select(
        session_id=pl.format("s-{}", "number"),
        user_id=pl.format("learner-{}", "learner"),
        exam_id=pl.lit(1),
        status=pl.lit("completed"),
        result_json=pl.concat_str(
            pl.lit('{"questions": ['), questions["question"].rename("question"), pl.lit("]}")
        ),
        created_at=at,
        updated_at=at,
    )


def _publish(connection: sa.Connection, bank: pl.DataFrame) -> None:
    """Write the true parameters as a fit's."""
    spec = {"model": "2PL", "version": "v1", "theta_mean": 0.0, "theta_sd": 1.0, "on_anchors": False}
    connection.execute(
        sa.text(
            "INSERT INTO mirt_fit_meta (run_id, model_spec, metrics)"
            " VALUES ('fit-1', CAST(:spec AS jsonb), '{}')"
        ),
        {"spec": json.dumps(spec)},
    )
    params = pl.struct("a", "b", c=pl.lit(0.0)).struct.json_encode()
    rows = bank.select(item_id="id", model=pl.lit("2PL"), params=params, version=pl.lit("v1"))
    upsert(connection, Base.metadata.tables["mirt_item_params"], rows)
