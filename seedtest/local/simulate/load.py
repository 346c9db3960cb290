"""A cohort into the source tables, by COPY and part by part."""

import hashlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
from sqlalchemy import Table
from sqlalchemy.engine import Connection, Engine

from seedtest.db.frames import Written, upsert
from seedtest.db.locks import stage_lock
from seedtest.db.schema import Base
from seedtest.local.simulate.bank import questions
from seedtest.local.simulate.cohort import Cohort
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

# What marks a result as simulated.
SOURCE = "seedtest-simulate"
LOCK = "simulate"
ORGANISATION = 1


@dataclass(frozen=True)
class LoadedCohort:
    """What a load wrote; a cohort that was there already is unchanged, or changed when it moved in time."""

    users: int
    items: int
    answers: int
    sessions: Written
    questions: Written
    goals: Written


def load_cohort(
    engine: Engine, cohort: Cohort, progress: Callable[[int, int], None] | None = None
) -> LoadedCohort:
    """Write a cohort's items, goals and sessions in one transaction; `progress` hears of parts done.

    Sessions and goals are upserted by id: the same cohort again changes nothing, and one with a later
    `end` moves. Items that are there stay as they are, since fits may have written to their meta.
    """
    sessions = Written()
    with stage_lock(engine, LOCK, wait_secs=Settings().lock_wait_secs), engine.begin() as connection:
        items = _add_questions(connection, questions(cohort.bank))
        goals = upsert(connection, _table("interest_goal"), cohort.goals)
        for number, part in enumerate(cohort.parts(), 1):
            sessions = _sum(sessions, upsert(connection, _table("exam_results"), results(part)))
            if progress:
                progress(number, cohort.n_parts)
    plan = cohort.plan
    logger.info("Loaded %s: %d learners, %d sessions", plan.key, plan.users, sessions.rows)
    return LoadedCohort(plan.users, plan.items, plan.users * plan.answers, sessions, items, goals)


def results(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `exam_results`: one a session, its answers in order in result_json."""
    question = pl.concat_str(
        pl.lit('{"question_id": "'),
        "item_id",
        pl.lit('", "is_correct": '),
        pl.col("correct").cast(pl.String),
        pl.lit(', "topic": "'),
        "topic_id",
        pl.lit('", "answered_at": "'),
        pl.col("answered_at").dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ"),
        pl.lit('"'),
        _optional("time_spent_sec", pl.col("response_time_ms") / 1000),
        _optional("used_hints", pl.col("hints")),
        pl.lit("}"),
    )
    head, tail = pl.lit(f'{{"source": "{SOURCE}", "questions": ['), pl.lit("]}")
    by_session = answers.with_columns(question.alias("question")).group_by("session_id", maintain_order=True)
    rows = by_session.agg(
        pl.col("user_id").first(),
        pl.concat_str(head, pl.col("question").str.join(", "), tail).first().alias("result_json"),
        pl.col("correct").sum().alias("score_raw"),
        pl.col("answered_at").min().alias("created_at"),
        pl.col("answered_at").max().alias("updated_at"),
    )
    ids = [_result_id(session_id) for session_id in rows["session_id"]]
    return rows.select(
        pl.Series("id", ids),
        pl.all(),
        pl.lit(ORGANISATION).alias("org_id"),
        pl.lit("completed").alias("status"),
    )


def _optional(key: str, value: pl.Expr) -> pl.Expr:
    """Return `, "key": value`, or nothing when the value was not recorded."""
    return pl.concat_str(pl.lit(f', "{key}": '), value.cast(pl.String)).fill_null("")


def _result_id(session_id: str) -> str:
    """Return the result's uuid, the same in every database."""
    digest = hashlib.md5(f"{SOURCE} {session_id}".encode(), usedforsecurity=False)
    return str(uuid.UUID(bytes=digest.digest()))


def _add_questions(connection: Connection, frame: pl.DataFrame) -> Written:
    """Insert the items that are not there."""
    kept = {name: f'old."{name}"' for name in frame.columns if name != "id"}
    return upsert(connection, _table("question"), frame, merge=kept)


def _table(name: str) -> Table:
    return Base.metadata.tables[name]


def _sum(one: Written, other: Written) -> Written:
    return Written(
        inserted=one.inserted + other.inserted,
        changed=one.changed + other.changed,
        unchanged=one.unchanged + other.unchanged,
    )
