r"""The views, each defined once here; the migration creates them from these texts.

`attempt_base` has one row per answer, and a filter on its completed_at reaches the index of
exam_results. `attempt` adds `attempt_no`, whose window function would keep the filter away; that is
why bulk reads take `attempt_base`. CONTRIBUTING.md says how a released view is changed.

A value of result_json may be of any JSON type, so every cast stands behind a test of type and shape,
and numbers are compared as numeric, which takes any JSON number without an overflow.
"""

# Longest time that counts as one answer's; a longer one is a tab left open over night.
MAX_RESPONSE_SECONDS = 86_400
MAX_HINTS = 1_000_000

UUID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


def _boolean(key: str) -> str:
    """Return SQL that reads a truth value of an answer, or NULL when it holds none."""
    value = f"lower(btrim(e.question ->> '{key}', E' \\t\\r\\n'))"
    number = f"(e.question -> '{key}')::numeric"
    return (
        # A number may be written 1.0, which as text is none of these words.
        f"CASE WHEN jsonb_typeof(e.question -> '{key}') = 'number'"
        f" THEN CASE WHEN {number} = 1 THEN true WHEN {number} = 0 THEN false END"
        f" WHEN {value} IN ('true', 't', 'yes', 'y', '1') THEN true"
        f" WHEN {value} IN ('false', 'f', 'no', 'n', '0') THEN false END"
    )


def _number(key: str) -> str:
    """Return SQL that reads a number, or text that is one, as numeric; NULL for anything else."""
    return (
        f"CASE WHEN jsonb_typeof(e.question -> '{key}') = 'number'"
        rf" OR e.question ->> '{key}' ~ '^[0-9]{{1,9}}(\.[0-9]{{1,9}})?$'"
        f" THEN (e.question ->> '{key}')::numeric END"
    )


ANSWERS = f"""\
    SELECT
        e.ordinal::int AS ordinal,
        e.question ->> 'question_id' AS item_id,
        row_number() OVER (PARTITION BY e.question ->> 'question_id' ORDER BY e.ordinal) AS repeat_no,
        {_boolean("is_correct")} AS is_correct,
        {_boolean("correct")} AS legacy_correct,
        {_number("time_spent_sec")} AS seconds,
        coalesce({_number("used_hints")}, ({_boolean("used_hints")})::int) AS hints,
        CASE WHEN jsonb_typeof(e.question -> 'topic') IN ('string', 'number') THEN e.question ->> 'topic' END
            AS topic
    FROM jsonb_array_elements(
        CASE WHEN jsonb_typeof(r.result_json -> 'questions') = 'array' THEN r.result_json -> 'questions'
        ELSE '[]'::jsonb END
    ) WITH ORDINALITY AS e (question, ordinal)
    WHERE jsonb_typeof(e.question -> 'question_id') IN ('string', 'number')
        AND e.question ->> 'question_id' <> ''
"""
"""The answers of one result `r`, as the platform wrote them: SQL of a subquery."""

ATTEMPT_BASE = f"""
CREATE VIEW attempt_base AS
SELECT
    (
        'x' || substr(md5(
            r.id::text || '-' || q.item_id
            || CASE WHEN q.repeat_no > 1 THEN '#' || q.ordinal ELSE '' END
        ), 1, 16)
    )::bit(64)::bigint AS id,
    CASE WHEN r.user_id ~ '{UUID_PATTERN}' THEN r.user_id::uuid ELSE md5(r.user_id)::uuid END AS student_id,
    q.item_id,
    coalesce(q.is_correct, q.legacy_correct, false) AS correct,
    CASE WHEN q.seconds BETWEEN 0 AND {MAX_RESPONSE_SECONDS} THEN round(q.seconds * 1000)::int END
        AS response_time_ms,
    CASE WHEN q.hints BETWEEN 0 AND {MAX_HINTS} THEN q.hints >= 1 END AS hint_used,
    coalesce(r.updated_at, r.created_at) AS completed_at,
    r.session_id,
    coalesce(nullif(q.topic, ''), nullif(question.topic_id, '')) AS topic_id,
    r.user_id,
    CASE WHEN q.hints BETWEEN 0 AND {MAX_HINTS} THEN trunc(q.hints)::int END AS hints,
    r.id AS result_id,
    r.exam_id,
    q.ordinal
FROM exam_results AS r
CROSS JOIN LATERAL (
{ANSWERS}) AS q
LEFT JOIN question ON question.id = q.item_id
WHERE r.user_id <> '' AND r.status IS DISTINCT FROM 'failed'
"""

ATTEMPT = """
CREATE VIEW attempt AS
SELECT
    id,
    student_id,
    item_id,
    correct,
    response_time_ms,
    hint_used,
    completed_at,
    completed_at - response_time_ms * interval '1 millisecond' AS started_at,
    row_number() OVER (
        PARTITION BY student_id, item_id ORDER BY completed_at, result_id, ordinal
    )::int AS attempt_no,
    session_id,
    topic_id,
    user_id,
    hints
FROM attempt_base
"""

MIRT_ABILITY_LATEST = """
CREATE VIEW mirt_ability_latest AS
SELECT DISTINCT ON (user_id)
    user_id, theta, se, model, version, fitted_at, as_of, source
FROM mirt_ability
ORDER BY user_id, as_of DESC, fitted_at DESC
"""

VIEWS = {"attempt_base": ATTEMPT_BASE, "attempt": ATTEMPT, "mirt_ability_latest": MIRT_ABILITY_LATEST}
