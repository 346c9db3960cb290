"""From staged answers to exam_results and question, set by set: what is there is merged, never replaced."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.local.importer.staging import SOURCE

# An answer is known again by its item, its time and how many times it stands at that time.
MERGE = """
CREATE TEMP TABLE stage_session ON COMMIT DROP AS
WITH fresh AS (
    SELECT
        session_id, item_id, line,
        to_char(completed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') COLLATE "C" AS answered_at,
        row_number() OVER (PARTITION BY session_id, item_id, completed_at ORDER BY line) AS repeat_no,
        correct, response_time_ms, hints, topic_id
    FROM stage_answer
),
known AS (
    SELECT
        r.session_id COLLATE "C" AS session_id, e.question, e.ordinal,
        (e.question ->> 'question_id') COLLATE "C" AS item_id,
        (e.question ->> 'answered_at') COLLATE "C" AS answered_at,
        row_number() OVER (
            PARTITION BY r.session_id, e.question ->> 'question_id', e.question ->> 'answered_at'
            ORDER BY e.ordinal
        ) AS repeat_no
    FROM exam_results AS r
    CROSS JOIN LATERAL jsonb_array_elements(r.result_json -> 'questions')
        WITH ORDINALITY AS e (question, ordinal)
    WHERE r.session_id IN (SELECT session_id FROM stage_answer)
),
merged AS (
    SELECT
        session_id, answered_at, ordinal, line, known.question AS old_question,
        coalesce(known.question, '{}') || CASE WHEN line IS NULL THEN '{}' ELSE
            jsonb_strip_nulls(jsonb_build_object(
                'question_id', item_id,
                'is_correct', correct,
                'time_spent_sec', trim_scale(response_time_ms / 1000.0),
                'used_hints', hints,
                'topic', topic_id,
                'answered_at', answered_at
            )) END AS question
    FROM known FULL JOIN fresh USING (session_id, item_id, answered_at, repeat_no)
)
SELECT
    session_id,
    jsonb_agg(question ORDER BY answered_at, ordinal, line) AS questions,
    count(*) FILTER (WHERE ordinal IS NULL) AS n_new,
    count(*) FILTER (WHERE line IS NOT NULL AND ordinal IS NOT NULL) AS n_known,
    count(*) FILTER (WHERE old_question <> question) AS n_corrected,
    count(ordinal) > 0 AS is_known
FROM merged
GROUP BY session_id
"""

TIMES = """
CREATE TEMP TABLE stage_times ON COMMIT DROP AS
SELECT session_id, min(user_id) AS user_id, min(completed_at) AS first_at, max(completed_at) AS last_at
FROM stage_answer GROUP BY session_id
"""

# The id follows from the session, so that the same file gives the same rows in any database.
INSERT = """
INSERT INTO exam_results (id, session_id, user_id, status, result_json, created_at, updated_at)
SELECT
    CAST(md5(:source || ' ' || session_id) AS uuid), session_id, user_id, 'completed',
    jsonb_build_object('source', CAST(:source AS text), 'questions', questions),
    first_at, last_at
FROM stage_session JOIN stage_times USING (session_id)
WHERE NOT is_known
"""

UPDATE = """
UPDATE exam_results AS r SET
    result_json = jsonb_set(r.result_json, '{questions}', s.questions),
    created_at = least(r.created_at, t.first_at),
    updated_at = greatest(r.updated_at, t.last_at)
FROM stage_session AS s JOIN stage_times AS t USING (session_id)
WHERE r.session_id = s.session_id AND s.n_new + s.n_corrected > 0 AND s.is_known
"""

ADD_QUESTIONS = """
INSERT INTO question (id, content, topic_id, meta)
SELECT DISTINCT ON (item_id) item_id, content, topic_id, meta
FROM stage_item
WHERE item_id IN (SELECT item_id FROM stage_answer)
ORDER BY item_id, topic_id IS NULL, line
ON CONFLICT (id) DO NOTHING
"""

COUNTS = """
SELECT
    coalesce(sum(n_new), 0)::bigint AS attempts_new,
    coalesce(sum(n_known), 0)::bigint AS attempts_known,
    coalesce(sum(n_corrected), 0)::bigint AS attempts_corrected,
    count(*) FILTER (WHERE NOT is_known) AS sessions_new,
    count(*) FILTER (WHERE is_known AND n_new + n_corrected > 0) AS sessions_changed,
    count(*) FILTER (WHERE is_known AND n_new + n_corrected = 0) AS sessions_unchanged,
    (SELECT count(*) FROM (SELECT DISTINCT user_id FROM stage_times) AS learner) AS learners,
    (SELECT count(*) FROM (SELECT DISTINCT item_id FROM stage_answer) AS item) AS items,
    (SELECT min(first_at) FROM stage_times) AS first_answer,
    (SELECT max(last_at) FROM stage_times) AS last_answer
FROM stage_session
"""


@dataclass(frozen=True)
class Stored:
    """What the merge did, counted in the database."""

    attempts_new: int
    attempts_known: int
    attempts_corrected: int
    sessions_new: int
    sessions_changed: int
    sessions_unchanged: int
    learners: int
    items: int
    first_answer: dt.datetime | None
    last_answer: dt.datetime | None
    questions_new: int


def store(connection: Connection) -> Stored:
    """Merge the staged answers into their sessions and add the items that are not there."""
    for statement in (TIMES, MERGE, "ANALYZE stage_session, stage_times"):
        connection.execute(sa.text(statement))
    connection.execute(sa.text(INSERT), {"source": SOURCE})
    connection.execute(sa.text(UPDATE))
    questions = connection.execute(sa.text(ADD_QUESTIONS))
    counts = connection.execute(sa.text(COUNTS)).one()
    return Stored(**counts._mapping, questions_new=questions.rowcount)
