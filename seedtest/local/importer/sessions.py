"""Which session an answer belongs to: made up where the file says none, refused where it is not ours."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.local.importer.staging import SOURCE

SESSION_GAP = dt.timedelta(minutes=30)
LONG_SESSION = dt.timedelta(days=1)
DERIVED_PREFIX = "import-"

# Answers of sessions that an earlier import made up, near the times of the staged ones.
KNOWN = f"""
CREATE TEMP TABLE stage_known ON COMMIT DROP AS
SELECT
    r.user_id COLLATE "C" AS user_id,
    r.session_id COLLATE "C" AS session_id,
    (e.question ->> 'question_id') COLLATE "C" AS item_id,
    CAST(e.question ->> 'answered_at' AS timestamptz) AS completed_at,
    row_number() OVER (
        PARTITION BY r.user_id, e.question ->> 'question_id', e.question ->> 'answered_at'
        ORDER BY r.session_id, e.ordinal
    ) AS repeat_no
FROM exam_results AS r
CROSS JOIN LATERAL jsonb_array_elements(r.result_json -> 'questions') WITH ORDINALITY AS e (question, ordinal)
WHERE r.result_json ->> 'source' = :source
    AND r.session_id LIKE '{DERIVED_PREFIX}%'
    AND r.user_id IN (SELECT user_id FROM stage_answer WHERE session_id IS NULL)
    AND r.updated_at >= (SELECT min(completed_at) - CAST(:gap AS interval) FROM stage_answer)
    AND r.created_at <= (SELECT max(completed_at) + CAST(:gap AS interval) FROM stage_answer)
"""

# An answer that is there already stays in its session, whichever stretch of time this file covers.
RECOGNISE = """
UPDATE stage_answer AS s SET session_id = k.session_id
FROM (
    SELECT
        line, user_id, item_id, completed_at,
        row_number() OVER (PARTITION BY user_id, item_id, completed_at ORDER BY line) AS repeat_no
    FROM stage_answer WHERE session_id IS NULL
) AS n
JOIN stage_known AS k USING (user_id, item_id, completed_at, repeat_no)
WHERE n.line = s.line
"""

# The others go by time: a stretch without a gap is one session, a known one if it touches one.
DERIVE = f"""
UPDATE stage_answer AS s SET session_id = d.session_id
FROM (
    SELECT
        line,
        coalesce(
            first_value(session_id) OVER (
                PARTITION BY user_id, stretch ORDER BY session_id IS NULL, completed_at
            ),
            '{DERIVED_PREFIX}' || md5(user_id || ' ' || CAST(
                extract(epoch FROM min(completed_at) OVER (PARTITION BY user_id, stretch)) * 1000000 AS bigint
            ))
        ) AS session_id
    FROM (
        SELECT
            *,
            count(*) FILTER (WHERE is_start) OVER (
                PARTITION BY user_id ORDER BY completed_at, line
            ) AS stretch
        FROM (
            SELECT
                *,
                coalesce(
                    completed_at - lag(completed_at) OVER (PARTITION BY user_id ORDER BY completed_at, line)
                        > CAST(:gap AS interval),
                    true
                ) AS is_start
            FROM (
                SELECT user_id, completed_at, session_id, 0 AS line FROM stage_known
                UNION ALL
                SELECT user_id, completed_at, NULL, line FROM stage_answer WHERE session_id IS NULL
            ) AS both_kinds
        ) AS gaps
    ) AS stretches
) AS d
WHERE d.line = s.line
"""

COUNT_UNNAMED = "SELECT count(*) FROM stage_answer WHERE session_id IS NULL"

# A row of the platform's, or of another import's learner, is never touched.
FOREIGN = """
INSERT INTO stage_conflict (line, reason)
SELECT
    s.line,
    CASE WHEN r.result_json ->> 'source' = :source
        THEN 'session ''' || s.session_id || ''' belongs to another learner in the database'
        ELSE 'session ''' || s.session_id || ''' is the platform''s own and is left as it is' END
FROM stage_answer AS s
JOIN exam_results AS r ON r.session_id = s.session_id
WHERE r.result_json ->> 'source' IS DISTINCT FROM :source OR r.user_id IS DISTINCT FROM s.user_id
"""

SHARED = """
INSERT INTO stage_conflict (line, reason)
SELECT line, 'session ''' || session_id || ''' belongs to another learner, from line ' || owner_line
FROM (
    SELECT
        line, session_id, user_id,
        first_value(user_id) OVER first_row AS owner,
        first_value(line) OVER first_row AS owner_line
    FROM stage_answer
    WHERE session_id IN (
        SELECT session_id FROM stage_answer GROUP BY session_id HAVING min(user_id) <> max(user_id)
    )
    WINDOW first_row AS (PARTITION BY session_id ORDER BY line)
) AS shared
WHERE user_id <> owner
"""

DROP_CONFLICTS = "DELETE FROM stage_answer WHERE line IN (SELECT line FROM stage_conflict)"

COUNT_LONG = """
SELECT count(*) FROM (
    SELECT FROM stage_answer
    GROUP BY session_id HAVING max(completed_at) - min(completed_at) > CAST(:long AS interval)
) AS long_session
"""


def derive_sessions(connection: Connection) -> tuple[str, ...]:
    """Give every answer without a session one; return a note when there were any."""
    unnamed = connection.scalar(sa.text(COUNT_UNNAMED))
    if not unnamed:
        return ()
    connection.execute(sa.text(KNOWN), {"source": SOURCE, "gap": SESSION_GAP})
    connection.execute(sa.text("ANALYZE stage_known"))
    connection.execute(sa.text(RECOGNISE))
    connection.execute(sa.text(DERIVE), {"gap": SESSION_GAP})
    minutes = SESSION_GAP // dt.timedelta(minutes=1)
    return (f"{unnamed:,} rows name no session: a new one begins after {minutes} minutes without answers.",)


def set_conflicts_aside(connection: Connection) -> None:
    """Move answers whose session is not theirs into stage_conflict."""
    for statement in (FOREIGN, DROP_CONFLICTS, SHARED, DROP_CONFLICTS):
        connection.execute(sa.text(statement), {"source": SOURCE} if statement is FOREIGN else {})


def note_long_sessions(connection: Connection) -> tuple[str, ...]:
    """Note sessions of more than a day: all their answers count at the time of the last."""
    count = connection.scalar(sa.text(COUNT_LONG), {"long": LONG_SESSION})
    if not count:
        return ()
    return (f"{count:,} sessions last over a day; the attempt view dates all their answers to the last one.",)
