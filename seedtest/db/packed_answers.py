"""Reading packs: how much there is, which days changed, and the answers of a batch of learners."""

from dataclasses import dataclass

import polars as pl
from sqlalchemy.engine import Connection

from seedtest.db.answer_packs import ESCAPE, LISTS, SEPARATOR, unescaped
from seedtest.db.attempts import Scope
from seedtest.db.buckets import Buckets, Shard
from seedtest.db.frames import UTC_TIME, Schema, read_frame
from seedtest.windows import ATTEMPTS, as_enum

IN_SCOPE = (
    "completed_at >= %(start)s AND completed_at < %(end)s"
    " AND bucket BETWEEN %(first_bucket)s AND %(last_bucket)s"
)

PER_BUCKET = f"""
SELECT bucket, count(*) AS n_packs, sum(n_answers) AS n_answers FROM answer_pack WHERE {IN_SCOPE}
GROUP BY bucket
"""
PACKS_PER_BUCKET: Schema = {"bucket": pl.Int32, "n_packs": pl.Int64, "n_answers": pl.Int64}
PACKS_OF_A_RANGE = 50_000
"""Packs whose days are compared at a time: some 50 bytes each."""

# A hash of which results a learner's day has and of their versions; cut to 48 bits so that sums fit.
PER_DAY = f"""
SELECT bucket, user_id, (completed_at AT TIME ZONE 'UTC')::date AS date, sum(n_answers) AS n_answers,
    (sum(uuid_hash_extended(result_id, row_version) >> 16) %% 1000000000000000)::bigint AS content
FROM answer_pack WHERE {IN_SCOPE} AND n_answers > 0 GROUP BY 1, 2, 3
"""
LEARNER_DAYS: Schema = {
    "bucket": pl.Int32,
    "user_id": pl.String,
    "date": pl.Date,
    "n_answers": pl.Int64,
    "content": pl.Int64,
}

PACKS: Schema = {
    "user_id": pl.String,
    "session_id": pl.String,
    "completed_at": UTC_TIME,
    "result_id": pl.String,
    "n_answers": pl.Int32,
    **dict.fromkeys(LISTS, pl.String),
}
READ = f"SELECT {', '.join(PACKS)} FROM answer_pack WHERE {IN_SCOPE} AND n_answers > 0"
QUESTION_TOPICS: Schema = {"item_id": pl.String, "question_topic": pl.String}


@dataclass(frozen=True)
class Range:
    """Learners whose days are compared at a time, and how many answers they have in scope."""

    buckets: Buckets
    n_answers: int


def plan_ranges(
    connection: Connection, scope: Scope, shard: Shard, most_packs: int = PACKS_OF_A_RANGE
) -> list[Range]:
    """Cut a shard's learners into ranges of at most so many packs; a bucket is never cut."""
    buckets = shard.buckets
    counts = read_frame(connection, PER_BUCKET, PACKS_PER_BUCKET, scope.parameters | buckets.parameters)
    ranges, first, held, n_answers = [], buckets.first, 0, 0
    for bucket, n_packs, n in counts.sort("bucket").iter_rows():
        if held and held + n_packs > most_packs:
            ranges.append(Range(Buckets(first, bucket - 1), n_answers))
            first, held, n_answers = bucket, 0, 0
        held, n_answers = held + n_packs, n_answers + n
    return [*ranges, Range(Buckets(first, buckets.last), n_answers)]


def learner_days(connection: Connection, scope: Scope, buckets: Buckets) -> pl.DataFrame:
    """Return the days on which learners answered: `LEARNER_DAYS`, where equal `content` is equal answers."""
    return read_frame(connection, PER_DAY, LEARNER_DAYS, scope.parameters | buckets.parameters)


def question_topics(connection: Connection) -> pl.DataFrame:
    """Return the topic of each question that has one, for answers that name none."""
    return read_frame(
        connection,
        "SELECT id AS item_id, topic_id AS question_topic FROM question WHERE topic_id <> ''",
        QUESTION_TOPICS,
    ).sort("item_id")


def read_answers(
    connection: Connection,
    scope: Scope,
    buckets: Buckets,
    topics: pl.DataFrame,
    user_ids: pl.Series | None = None,
) -> pl.DataFrame:
    """Return the answers in scope of the learners of some buckets, with the columns `ATTEMPTS`.

    The same answers as `load_attempts` gives, from packs that `synchronise` has brought in step, in no
    order; ids are Enums of those that occur. `topics` is `question_topics`; `user_ids` narrows the
    learners down.
    """
    query, bounds = READ, scope.parameters | buckets.parameters
    if user_ids is not None:
        query, bounds = f"{READ} AND user_id = ANY(%(user_ids)s)", bounds | {"user_ids": user_ids.to_list()}
    packs = read_frame(connection, query, PACKS, bounds)
    results = packs.with_columns(as_enum(packs[name]) for name in ("user_id", "session_id", "result_id"))
    answers = (
        results.with_columns(pl.col(*LISTS).str.split(SEPARATOR))
        .with_columns(pl.col("topics").fill_null(pl.lit(None, pl.String).repeat_by("n_answers")))
        .explode(*LISTS)
        .rename({"ordinals": "ordinal", "items": "item_id", "ms": "response_time_ms"})
        # Where it is no number it is empty, which stands for NULL.
        .with_columns(pl.col("ordinal", "response_time_ms", "hints").cast(pl.Int32, strict=False))
        .with_columns(pl.col("correct") == "1", hint_used=pl.col("hints") >= 1)
    )
    item_id, own_topic = _ids(answers["item_id"], packs["items"]), _ids(answers["topics"], packs["topics"])
    items = item_id.unique().sort()
    asked = item_id.cast(pl.Enum(items))
    topic_id = own_topic.zip_with(own_topic != "", _topics(items, topics).gather(asked.to_physical()))
    return answers.with_columns(asked, topic_id=as_enum(topic_id)).select(*ATTEMPTS)


def _ids(answers: pl.Series, lists: pl.Series) -> pl.Series:
    """Return the ids of answers as they were before they were put into `lists`."""
    is_odd = lists.str.contains(ESCAPE, literal=True).any()
    return unescaped(answers) if is_odd else answers


def _topics(items: pl.Series, topics: pl.DataFrame) -> pl.Series:
    """Return the topic of each question of `items`, null where it has none."""
    known = items.to_frame("item_id").join(topics, on="item_id", how="left", maintain_order="left")
    return known["question_topic"]
