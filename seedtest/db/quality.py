"""The evidence of the data checks, counted in the database.

Answers are judged by the counts that `answer_pack` keeps beside each result's answers. Only the question
ids of the run's last day are unpacked. Packs of `compared(scope)` must be in step first
(`answer_packs.synchronise`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.answer_packs import SEPARATOR_SQL
from seedtest.db.attempts import LEFT_OUT_REASONS, Scope, last_days
from seedtest.db.buckets import EVERYBODY, Shard, bucket_of, of_shard
from seedtest.db.calibrations import IN_FORCE
from seedtest.db.schema import MirtFitMeta
from seedtest.irt.exclusions import ALL_RIGHT, ALL_WRONG, ExclusionKind
from seedtest.kpis import KPI_BOUNDS
from seedtest.quality.evidence import (
    COMPARED_DAYS,
    FEWEST_HASTY,
    HASTY_SHARE,
    MAX_THETA,
    WEEK_DAYS,
    AnswerCounts,
    AnswerEvidence,
    FitItems,
    HastyLearners,
    LeftOut,
    QuestionTopics,
    Repeats,
    ValueCounts,
)
from seedtest.quality.findings import Check

# One pass over the pages for both the days compared and the run's own.
PACKS = """
SELECT
    CAST(completed_at AT TIME ZONE 'UTC' AS date) AS day,
    max(completed_at) AS newest,
    count(*) AS n_results,
    count(*) FILTER (WHERE n_elements IS NULL) AS n_without_list,
    coalesce(sum(n_elements), 0) AS n_elements,
    sum(n_answers) AS n_answers,
    sum(n_without_topic) AS n_without_topic,
    sum(n_without_time) AS n_without_time,
    sum(n_impossible_times) AS n_impossible_times
FROM answer_pack
WHERE completed_at >= :start AND completed_at < :end AND {of_shard}
GROUP BY day
"""

# Most learners have no hasty answer: only the others' answers are added up by learner.
HASTY = """
WITH suspect AS (
    SELECT user_id FROM answer_pack
    WHERE completed_at >= :start AND completed_at < :end AND n_hasty > 0 AND {of_shard}
    GROUP BY user_id HAVING sum(n_hasty) >= :fewest
)
SELECT count(*), coalesce(sum(n_hasty), 0) FROM (
    SELECT sum(n_hasty) AS n_hasty FROM answer_pack JOIN suspect USING (user_id)
    WHERE completed_at >= :start AND completed_at < :end AND {of_shard}
    GROUP BY user_id HAVING sum(n_hasty) >= :share * sum(n_answers)
) AS learner
"""

REPEATS = f"""
SELECT coalesce(sum(n_answers), 0), coalesce(sum(n_answers - (
    SELECT count(DISTINCT item_id) FROM string_to_table(items, {SEPARATOR_SQL}) AS a (item_id)
)), 0)
FROM answer_pack
WHERE completed_at >= :start AND completed_at < :end AND {{of_shard}}
"""

# Results without a learner are of the shard that a learner without a name would be of.
LEFT_OUT = """
SELECT count(*) FILTER (WHERE coalesce(user_id, '') = ''), count(*) FILTER (WHERE user_id <> '')
FROM exam_results
WHERE coalesce(updated_at, created_at) >= :start AND coalesce(updated_at, created_at) < :end
    AND (coalesce(user_id, '') = '' OR status = 'failed') AND {of_shard}
"""

TOPICS = "SELECT count(*), count(nullif(topic_id, '')) FROM question"

RECORDED = """
SELECT coalesce(sum(attempts), 0) FROM features_topic_daily WHERE date BETWEEN :first AND :last AND {of_shard}
"""

# PostgreSQL takes NaN for larger than any number, and no comparison of it is unknown.
THETAS = """
SELECT
    count({column}),
    count(*) FILTER (WHERE abs({column}) > :most AND abs({column}) < 'Infinity'),
    count(*) FILTER (WHERE abs({column}) >= 'Infinity')
FROM {table} WHERE {condition}
"""

_KPI_COUNTS = ", ".join(
    f"count({value}) FILTER (WHERE jsonb_typeof({value}) <> 'null'),"
    f" count(*) FILTER (WHERE CASE WHEN jsonb_typeof({value}) = 'number'"
    f" THEN CAST({value} AS numeric) NOT BETWEEN {bound.low} AND {bound.high} END),"
    f" count(*) FILTER (WHERE jsonb_typeof({value}) NOT IN ('number', 'null'))"
    for bound in KPI_BOUNDS
    for value in [f'kpi."{bound.column}"']
)

# Each row's JSON is taken apart once, in half the time of an operator for each count.
KPIS = f"""
SELECT {_KPI_COUNTS}
FROM weekly_kpi
CROSS JOIN LATERAL jsonb_to_record(CASE WHEN jsonb_typeof(kpis) = 'object' THEN kpis ELSE '{{{{}}}}' END)
    AS kpi ({", ".join(f'"{bound.column}" jsonb' for bound in KPI_BOUNDS)})
WHERE week_start = ANY(CAST(:weeks AS date[])) AND {{of_shard}}
"""


def compared(scope: Scope) -> Scope:
    """Return the days whose packs must be in step before a run's answers are judged."""
    earliest = last_days(scope.last_day, COMPARED_DAYS).first_day
    return Scope(min(scope.first_day, earliest), scope.last_day)


def answer_evidence(
    connection: Connection,
    scope: Scope,
    shard: Shard = EVERYBODY,
    *,
    left_out: Mapping[str, int] | None = None,
) -> AnswerEvidence:
    """Return what the checks judge before a run writes: of its days and its shard's learners.

    A topic or exam of the scope does not narrow it, as packs know neither. `left_out` is what `synchronise`
    has counted of the same days; without it, one more pass over their results counts.
    """
    days = _packs(connection, compared(scope), shard)
    of_run = [day for day in days if scope.first_day <= day["day"]]
    run_days = {"start": scope.start, "end": scope.end}
    last_day = {"start": last_days(scope.last_day, 1).start, "end": scope.end}
    hasty = run_days | {"fewest": FEWEST_HASTY, "share": HASTY_SHARE}
    return AnswerEvidence(
        first_day=scope.first_day,
        last_day=scope.last_day,
        answers_by_day={day["day"]: int(day["n_answers"]) for day in days},
        newest=max((day["newest"] for day in days), default=None),
        counts=AnswerCounts(
            **{field.name: sum(int(day[field.name]) for day in of_run) for field in fields(AnswerCounts)}
        ),
        left_out=_counted(left_out)
        if left_out is not None
        else LeftOut(*_row(connection, LEFT_OUT, shard, bucket_of("coalesce(user_id, '')"), run_days)),
        hasty=HastyLearners(*_row(connection, HASTY, shard, "bucket", hasty)),
        repeats=Repeats(*_row(connection, REPEATS, shard, "bucket", last_day)),
        topics=QuestionTopics(*_row(connection, TOPICS)),
        fit=_fit_items(connection),
        n_recorded=_recorded(connection, last_days(scope.last_day, WEEK_DAYS), shard),
    )


def ability_output(connection: Connection, fitted_at: dt.datetime) -> tuple[ValueCounts, ...]:
    """Return what a calibration wrote to mirt_ability and student_topic_theta, told by its moment."""
    of_run, moment = "fitted_at = :fitted_at", {"fitted_at": fitted_at}
    return (
        _thetas(connection, Check.ABILITY_RANGE, "mirt_ability", "theta", of_run, moment),
        _thetas(connection, Check.TOPIC_ABILITY_RANGE, "student_topic_theta", "theta", of_run, moment),
    )


def feature_output(connection: Connection, scope: Scope, shard: Shard = EVERYBODY) -> tuple[ValueCounts, ...]:
    """Return what features_topic_daily holds of a run's days and its shard's learners."""
    condition = f"date BETWEEN :first AND :last AND {of_shard(shard, bucket_of('user_id'))}"
    bounds = {"first": scope.first_day, "last": scope.last_day, **shard.buckets.parameters}
    column = (Check.FEATURE_THETA_RANGE, "features_topic_daily", "theta_estimate")
    return (_thetas(connection, *column, condition, bounds),)


def kpi_output(
    connection: Connection, weeks: Sequence[dt.date], shard: Shard = EVERYBODY
) -> tuple[ValueCounts, ...]:
    """Return what weekly_kpi holds of a run's weeks and its shard's learners."""
    counts = _row(connection, KPIS, shard, bucket_of("user_id"), {"weeks": list(weeks)})
    return tuple(
        ValueCounts(Check.KPI_RANGE, bound.column, bound.low, bound.high, *counts[3 * n : 3 * n + 3])
        for n, bound in enumerate(KPI_BOUNDS)
    )


def _row(
    connection: Connection,
    query: str,
    shard: Shard = EVERYBODY,
    bucket: str = "",
    bounds: Mapping[str, Any] | None = None,
) -> list[int]:
    """Return the only row of a query, whole numbers all."""
    statement = sa.text(query.format(of_shard=of_shard(shard, bucket)))
    row = connection.execute(statement, {**shard.buckets.parameters, **(bounds or {})}).one()
    return [int(value) for value in row]


def _packs(connection: Connection, scope: Scope, shard: Shard) -> list[dict[str, Any]]:
    statement = sa.text(PACKS.format(of_shard=of_shard(shard, "bucket")))
    bounds = {"start": scope.start, "end": scope.end, **shard.buckets.parameters}
    return [dict(row) for row in connection.execute(statement, bounds).mappings()]


def _counted(left_out: Mapping[str, int]) -> LeftOut:
    without_user, failed, *_ = LEFT_OUT_REASONS
    return LeftOut(left_out.get(without_user, 0), left_out.get(failed, 0))


def _recorded(connection: Connection, week: Scope, shard: Shard) -> int:
    bounds = {"first": week.first_day, "last": week.last_day}
    return _row(connection, RECORDED, shard, bucket_of("user_id"), bounds)[0]


def _fit_items(connection: Connection) -> FitItems | None:
    """Return what the fit in force says of its items; a fit of an earlier release may not say it."""
    query = sa.select(MirtFitMeta.run_id, MirtFitMeta.model_spec).where(IN_FORCE)
    meta = connection.execute(query.order_by(MirtFitMeta.fitted_at.desc()).limit(1)).first()
    if meta is None or "items" not in meta.model_spec.get("counts", {}):
        return None
    dropped = meta.model_spec.get("dropped", {})
    all_right, all_wrong = (dropped.get(f"{ExclusionKind.ITEM}s: {why}", 0) for why in (ALL_RIGHT, ALL_WRONG))
    return FitItems(meta.run_id, meta.model_spec["counts"]["items"], all_right, all_wrong)


def _thetas(
    connection: Connection, check: Check, table: str, column: str, condition: str, bounds: Mapping[str, Any]
) -> ValueCounts:
    statement = sa.text(THETAS.format(table=table, column=column, condition=condition))
    row = connection.execute(statement, {**bounds, "most": MAX_THETA}).one()
    return ValueCounts(check, f"{table}.{column}", -MAX_THETA, MAX_THETA, *(int(n) for n in row))
