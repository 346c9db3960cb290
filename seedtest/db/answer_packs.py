"""Packs: the answers of each result, unpacked from its JSON once and kept in step with it.

Features and KPIs read every answer of two months each night, of which a day is new. Reading them from
the platform's JSON is most of that work, so `synchronise` keeps a copy in `answer_pack` and unpacks only
results that changed. What changed is told by the row's own version (`xmin`): unlike completed_at it
moves with late, past-dated and corrected results alike. docs/decisions/0010 weighs this against others.
"""

from dataclasses import dataclass

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.attempts import LEFT_OUT_REASONS, Scope
from seedtest.db.buckets import BUCKETS, EVERYBODY, Shard, bucket_of, of_shard
from seedtest.db.locks import NAMESPACE
from seedtest.db.views import ANSWERS, MAX_HINTS, MAX_RESPONSE_SECONDS

HASTY_SECS = 1.0
"""A known response time below this is faster than anybody reads a question."""


@dataclass(frozen=True)
class Synchronised:
    """Results that were packed, and packs that were dropped because their result changed or went.

    `left_out` counts what the attempt view leaves out, by reason (only those that occur).
    """

    packed: int
    dropped: int
    left_out: dict[str, int]

    def __add__(self, other: "Synchronised") -> "Synchronised":
        """Return the counts of both."""
        reasons = [reason for reason in LEFT_OUT_REASONS if reason in self.left_out | other.left_out]
        left_out = {
            reason: self.left_out.get(reason, 0) + other.left_out.get(reason, 0) for reason in reasons
        }
        return Synchronised(self.packed + other.packed, self.dropped + other.dropped, left_out)


_COMPLETED_AT = "coalesce(r.updated_at, r.created_at)"
_VERSION = "r.xmin::text::bigint"

# One pass over both sides; neither reads an answer. A result that is not read has no version, so that it
# comes out too, with the reason.
COMPARE = f"""
CREATE TEMP TABLE pack_change ON COMMIT DROP AS
SELECT coalesce(r.id, p.result_id) AS result_id, r.row_version IS NOT NULL AS is_new, p.bucket,
    p.row_version, r.reason, r.completed_at,
    CASE WHEN r.row_version IS NOT NULL THEN {bucket_of("r.user_id")} END AS new_bucket
FROM (
    SELECT r.id, r.user_id,
        CASE WHEN r.user_id <> '' AND r.status IS DISTINCT FROM 'failed' THEN {_VERSION} END
            AS row_version,
        CASE WHEN coalesce(r.user_id, '') = '' THEN 'nobody'
            WHEN r.status = 'failed' THEN 'failed' END AS reason,
        {_COMPLETED_AT} AS completed_at
    FROM exam_results AS r
    WHERE {_COMPLETED_AT} >= :start AND {_COMPLETED_AT} < :end AND {{of_shard}}
) AS r
FULL JOIN (
    SELECT result_id, row_version, bucket FROM answer_pack
    WHERE completed_at >= :start AND completed_at < :end
        AND bucket BETWEEN :first_bucket AND :last_bucket
) AS p ON p.result_id = r.id AND p.row_version = r.row_version
WHERE r.id IS NULL OR p.result_id IS NULL
"""

LEFT_OUT = """
SELECT of_results.*, of_answers.*
FROM (
    SELECT count(*) FILTER (WHERE reason = 'nobody'), count(*) FILTER (WHERE reason = 'failed')
    FROM pack_change WHERE completed_at >= :start AND completed_at < :end
) AS of_results
CROSS JOIN (
    SELECT count(*) FILTER (WHERE n_elements IS NULL), coalesce(sum(n_elements - n_answers), 0)
    FROM answer_pack
    WHERE completed_at >= :start AND completed_at < :end
        AND bucket BETWEEN :first_bucket AND :last_bucket
) AS of_answers
"""

# By version: another connection may just have packed the result anew, on a day that it has moved to.
DROP = """
DELETE FROM answer_pack AS p USING pack_change AS c
WHERE (p.bucket, p.result_id, p.row_version) = (c.bucket, c.result_id, c.row_version)
"""

# The indexes are filled in their own order: 20 million answers took 27 s instead of 37. A hash join would
# lose the order and spill every JSON to disk. Connections beside each other begin at different buckets.
IN_ORDER = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
IN_ANY_ORDER = "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on"

SEPARATOR, ESCAPE = "\x1f", "\x1b"
SEPARATOR_SQL, ESCAPE_SQL = r"E'\x1f'", r"E'\x1b'"
"""What stands between a list's elements, and what begins either of the two where an id holds it.

Text of this kind is read in half the time that JSON takes (docs/decisions/0010).
"""


def _joined(element: str) -> str:
    """Return SQL of an aggregate: the elements of the answers, in order, as text; a NULL is empty."""
    return f"coalesce(string_agg(coalesce(({element})::text, ''), {SEPARATOR_SQL}), '')"


def _escaped(element: str) -> str:
    """Return SQL of an id as it stands in a list; `unescaped` is its inverse."""
    without_escape = f"replace({element}, {ESCAPE_SQL}, {ESCAPE_SQL} || '1')"
    return f"replace({without_escape}, {SEPARATOR_SQL}, {ESCAPE_SQL} || '2')"


def unescaped(ids: pl.Series) -> pl.Series:
    """Return ids as they were before they were put into a list."""
    with_separator = ids.str.replace_all(f"{ESCAPE}2", SEPARATOR, literal=True)
    return with_separator.str.replace_all(f"{ESCAPE}1", ESCAPE, literal=True)


_MS = f"CASE WHEN e.seconds BETWEEN 0 AND {MAX_RESPONSE_SECONDS} THEN round(e.seconds * 1000)::int END"
_HINTS = f"CASE WHEN e.hints BETWEEN 0 AND {MAX_HINTS} THEN trunc(e.hints)::int END"
_CORRECT = "coalesce(e.is_correct, e.legacy_correct, false)"
LISTS = {
    "ordinals": _joined("e.ordinal"),
    "items": _joined(_escaped("e.item_id")),
    "topics": f"CASE WHEN count(nullif(e.topic, '')) > 0 THEN {_joined(_escaped('e.topic'))} END",
    "correct": _joined(f"({_CORRECT})::int"),
    "ms": _joined(_MS),
    "hints": _joined(_HINTS),
}
"""The columns that hold an element an answer, and what fills them; `topics` is NULL where none has any."""

PACK = f"""
INSERT INTO answer_pack (
    result_id, row_version, bucket, user_id, session_id, completed_at, n_elements, n_answers, n_correct,
    n_without_topic, n_without_time, n_impossible_times, n_hasty, {", ".join(LISTS)}
)
SELECT
    r.id, {_VERSION}, {bucket_of("r.user_id")}, r.user_id, r.session_id, {_COMPLETED_AT},
    CASE WHEN jsonb_typeof(r.result_json -> 'questions') = 'array'
        THEN jsonb_array_length(r.result_json -> 'questions') END,
    q.*
FROM (
    SELECT result_id FROM pack_change WHERE is_new
    ORDER BY (new_bucket + :first_new) % {BUCKETS}, result_id
) AS c
JOIN exam_results AS r ON r.id = c.result_id
CROSS JOIN LATERAL (
    SELECT
        count(*),
        count(*) FILTER (WHERE {_CORRECT}),
        count(*) FILTER (WHERE nullif(e.topic, '') IS NULL),
        count(*) FILTER (WHERE e.seconds IS NULL),
        count(*) FILTER (WHERE e.seconds NOT BETWEEN 0 AND {MAX_RESPONSE_SECONDS}),
        count(*) FILTER (WHERE e.seconds >= 0 AND e.seconds < {HASTY_SECS}),
        {", ".join(LISTS.values())}
    FROM (
{ANSWERS}) AS e
) AS q
ON CONFLICT (bucket, result_id) DO UPDATE SET
    row_version = excluded.row_version, user_id = excluded.user_id,
    session_id = excluded.session_id, completed_at = excluded.completed_at,
    n_elements = excluded.n_elements, n_answers = excluded.n_answers, n_correct = excluded.n_correct,
    n_without_topic = excluded.n_without_topic, n_without_time = excluded.n_without_time,
    n_impossible_times = excluded.n_impossible_times,
    n_hasty = excluded.n_hasty, {", ".join(f"{name} = excluded.{name}" for name in LISTS)}
"""

# Two stages, or a nightly run and a backfill, may want the same packs: the second finds them made.
LOCK = f"SELECT pg_advisory_xact_lock({NAMESPACE}, hashtext('answer packs ' || :part))"
LOCKED_PARTS = 64


def synchronise(
    connection: Connection, scope: Scope, shard: Shard = EVERYBODY, *, counted: Scope | None = None
) -> Synchronised:
    """Bring the packs of a scope's days and a shard's learners in step with their results.

    Within the caller's transaction, which should be a short one: others wait for the same learners. It
    must be one that sees each statement's own moment (READ COMMITTED), or the wait would be in vain.
    What is left out is counted on the days of `counted`, by default all.
    """
    hold_packs(connection, shard)
    return bring_in_step(connection, scope, shard, counted=counted)


def hold_packs(connection: Connection, shard: Shard) -> None:
    """Wait for others that bring the packs of these learners in step, and keep them out until the end."""
    for part in range(LOCKED_PARTS):
        if shard.touches(Shard(part, LOCKED_PARTS)):
            connection.execute(sa.text(LOCK), {"part": str(part)})


def bring_in_step(
    connection: Connection,
    scope: Scope,
    shard: Shard,
    *,
    counted: Scope | None = None,
    first_bucket: int = 0,
) -> Synchronised:
    """Do what `synchronise` does, for a caller that holds the packs, perhaps on another connection.

    Several connections may do so at a time for different days of one scope, in transactions that see each
    statement's own moment; they should begin at different buckets.
    """
    nobody = bucket_of("coalesce(r.user_id, '')")
    bounds = {"start": scope.start, "end": scope.end, **shard.buckets.parameters}
    connection.execute(sa.text(COMPARE.format(of_shard=of_shard(shard, nobody))), bounds)
    connection.execute(sa.text("ANALYZE pack_change"))
    dropped = connection.execute(sa.text(DROP)).rowcount
    connection.execute(sa.text(IN_ORDER))
    packed = connection.execute(sa.text(PACK), {"first_new": first_bucket}).rowcount
    connection.execute(sa.text(IN_ANY_ORDER))
    of_days = counted or scope
    both = {"start": max(scope.start, of_days.start), "end": min(scope.end, of_days.end)}
    counts = connection.execute(sa.text(LEFT_OUT), bounds | both).one()
    connection.execute(sa.text("DROP TABLE pack_change"))
    left_out = {reason: int(n) for reason, n in zip(LEFT_OUT_REASONS, counts, strict=True) if n}
    return Synchronised(packed, dropped, left_out)
