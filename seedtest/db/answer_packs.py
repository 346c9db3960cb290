"""Packs: the answers of each result, unpacked from its JSON once and kept in step with it.

Features and KPIs read every answer of two months each night, of which a day is new. Reading them from
the platform's JSON is most of that work, so `synchronise` keeps a copy in `answer_pack` and unpacks only
results that changed. What changed is told by the row's own version (`xmin`): unlike completed_at it
moves with late, past-dated and corrected results alike. docs/decisions/0010 weighs this against others.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.attempts import Scope
from seedtest.db.locks import NAMESPACE
from seedtest.db.views import ANSWERS, MAX_HINTS, MAX_RESPONSE_SECONDS
from seedtest.errors import ConfigurationError

BUCKETS = 4096
"""Parts that learners fall into by a stable hash; a shard is a range of them."""

HASTY_SECS = 1.0
"""A known response time below this is faster than anybody reads a question."""


@dataclass(frozen=True)
class Shard:
    """Part `number` of `of` equal parts of the learners; the only one is everybody."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of <= BUCKETS:
            raise ConfigurationError(
                f"There is no shard {self.number} of {self.of}: shards are numbered from 0, and at most "
                f"{BUCKETS}."
            )

    @property
    def first_bucket(self) -> int:
        """The lowest bucket of the shard."""
        return BUCKETS * self.number // self.of

    @property
    def last_bucket(self) -> int:
        """The highest bucket of the shard."""
        return BUCKETS * (self.number + 1) // self.of - 1

    def touches(self, other: "Shard") -> bool:
        """Return whether a bucket belongs to both."""
        return self.first_bucket <= other.last_bucket and other.first_bucket <= self.last_bucket

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"


EVERYBODY = Shard()


@dataclass(frozen=True)
class Synchronised:
    """Results that were packed, and packs that were dropped because their result changed or went."""

    packed: int
    dropped: int


def bucket_of(user_id: str) -> str:
    """Return the SQL of a learner's bucket; `user_id` is SQL too."""
    return f"('x' || substr(md5({user_id}), 1, 3))::bit(12)::int"


_COMPLETED_AT = "coalesce(r.updated_at, r.created_at)"
_VERSION = "r.xmin::text::bigint"

# One pass over both sides; neither reads an answer.
COMPARE = f"""
CREATE TEMP TABLE pack_change ON COMMIT DROP AS
SELECT coalesce(r.id, p.result_id) AS result_id, r.id IS NOT NULL AS is_new
FROM (
    SELECT r.id, {_VERSION} AS row_version
    FROM exam_results AS r
    WHERE {_COMPLETED_AT} >= :start AND {_COMPLETED_AT} < :end
        AND r.user_id <> '' AND r.status IS DISTINCT FROM 'failed' AND {{of_shard}}
) AS r
FULL JOIN (
    SELECT result_id, row_version FROM answer_pack
    WHERE completed_at >= :start AND completed_at < :end AND bucket BETWEEN :first AND :last
) AS p ON p.result_id = r.id AND p.row_version = r.row_version
WHERE r.id IS NULL OR p.result_id IS NULL
"""

DROP = """
DELETE FROM answer_pack AS p USING pack_change AS c WHERE p.result_id = c.result_id AND NOT c.is_new
"""

_MS = f"CASE WHEN e.seconds BETWEEN 0 AND {MAX_RESPONSE_SECONDS} THEN round(e.seconds * 1000)::int END"
_HINTS = f"CASE WHEN e.hints BETWEEN 0 AND {MAX_HINTS} THEN trunc(e.hints)::int END"
_CORRECT = "coalesce(e.is_correct, e.legacy_correct, false)"

PACK = f"""
INSERT INTO answer_pack (
    result_id, row_version, bucket, user_id, session_id, completed_at, n_elements, n_answers, n_correct,
    n_without_topic, n_without_time, n_impossible_times, n_repeated, n_hasty, answers
)
SELECT
    r.id, {_VERSION}, {bucket_of("r.user_id")}, r.user_id, r.session_id, {_COMPLETED_AT},
    CASE WHEN jsonb_typeof(r.result_json -> 'questions') = 'array'
        THEN jsonb_array_length(r.result_json -> 'questions') END,
    q.*
FROM pack_change AS c
JOIN exam_results AS r ON r.id = c.result_id AND c.is_new
CROSS JOIN LATERAL (
    SELECT
        count(*),
        count(*) FILTER (WHERE {_CORRECT}),
        count(*) FILTER (WHERE nullif(e.topic, '') IS NULL),
        count(*) FILTER (WHERE e.seconds IS NULL),
        count(*) FILTER (WHERE e.seconds NOT BETWEEN 0 AND {MAX_RESPONSE_SECONDS}),
        count(*) FILTER (WHERE e.repeat_no > 1),
        count(*) FILTER (WHERE e.seconds >= 0 AND e.seconds < {HASTY_SECS}),
        json_build_object(
            'ordinal', coalesce(json_agg(e.ordinal), '[]'),
            'item_id', coalesce(json_agg(e.item_id), '[]'),
            'topic_id', coalesce(json_agg(nullif(e.topic, '')), '[]'),
            'correct', coalesce(json_agg({_CORRECT}), '[]'),
            'response_time_ms', coalesce(json_agg({_MS}), '[]'),
            'hints', coalesce(json_agg({_HINTS}), '[]')
        )
    FROM (
{ANSWERS}) AS e
) AS q
ON CONFLICT (result_id) DO UPDATE SET
    row_version = excluded.row_version, bucket = excluded.bucket, user_id = excluded.user_id,
    session_id = excluded.session_id, completed_at = excluded.completed_at,
    n_elements = excluded.n_elements, n_answers = excluded.n_answers, n_correct = excluded.n_correct,
    n_without_topic = excluded.n_without_topic, n_without_time = excluded.n_without_time,
    n_impossible_times = excluded.n_impossible_times, n_repeated = excluded.n_repeated,
    n_hasty = excluded.n_hasty, answers = excluded.answers
"""

# Two stages, or a nightly run and a backfill, may want the same packs: the second finds them made.
LOCK = f"SELECT pg_advisory_xact_lock({NAMESPACE}, hashtext('answer packs ' || :part))"
LOCKED_PARTS = 64


def synchronise(connection: Connection, scope: Scope, shard: Shard = EVERYBODY) -> Synchronised:
    """Bring the packs of a scope's days and a shard's learners in step with their results.

    Within the caller's transaction, which should be a short one: others wait for the same learners. It
    must be one that sees each statement's own moment (READ COMMITTED), or the wait would be in vain.
    """
    for part in range(LOCKED_PARTS):
        if shard.touches(Shard(part, LOCKED_PARTS)):
            connection.execute(sa.text(LOCK), {"part": str(part)})
    of_shard = "true" if shard.of == 1 else f"{bucket_of('r.user_id')} BETWEEN :first AND :last"
    bounds = {
        "start": scope.start,
        "end": scope.end,
        "first": shard.first_bucket,
        "last": shard.last_bucket,
    }
    connection.execute(sa.text(COMPARE.format(of_shard=of_shard)), bounds)
    connection.execute(sa.text("ANALYZE pack_change"))
    dropped = connection.execute(sa.text(DROP)).rowcount
    packed = connection.execute(sa.text(PACK)).rowcount
    connection.execute(sa.text("DROP TABLE pack_change"))
    return Synchronised(packed, dropped)
