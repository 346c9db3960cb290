"""Writing a fit in a single transaction: its history, and what it changes of the current state."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.calibrations import PARAMETERS
from seedtest.db.frames import Written, stage, upsert
from seedtest.db.locks import REPLACE_FIT
from seedtest.db.schema import (
    Base,
    MirtAbility,
    MirtFitMeta,
    MirtItemParams,
    MirtItemParamsHistory,
    StudentTopicTheta,
)
from seedtest.irt import Abilities, Calibration, ExclusionKind, ItemParameters


@dataclass(frozen=True)
class FitRecord:
    """What is written of a fit beside its estimates."""

    run_id: str
    version: str
    fitted_at: dt.datetime
    model_spec: Mapping[str, Any]
    metrics: Mapping[str, Any]


def new_run_id(fitted_at: dt.datetime) -> str:
    """Return the name of a fit, such as fit-2025-11-02T04:15:23Z."""
    return f"fit-{fitted_at:%Y-%m-%dT%H:%M:%SZ}"


def next_moment(connection: Connection, now: dt.datetime) -> dt.datetime:
    """Return `now`, or a second after the last fit: a run's name has whole seconds and must be its own."""
    last = connection.scalar(sa.select(sa.func.max(MirtFitMeta.fitted_at)))
    return max(now, last + dt.timedelta(seconds=1)) if last else now


@dataclass(frozen=True)
class Reach:
    """What of the current state a fit may touch; its history is always written.

    Attributes
    ----------
    in_force
        Whether the fit takes the place of the last one: later features, KPIs and fits build on it.
    items
        The items whose current parameters it sets.
    abilities
        Whether its abilities are those of the learners as a whole, on the scale in force.
    since, until
        The answers that it saw, `since` included, `until` not: estimates that rest on others stay.
    """

    in_force: bool
    items: ItemParameters
    abilities: bool
    since: dt.datetime
    until: dt.datetime


def write_fit(
    connection: Connection,
    calibration: Calibration,
    record: FitRecord,
    reach: Reach,
    *,
    ability_as_of: pl.DataFrame,
    topic_abilities: pl.DataFrame,
    min_responses: int,
) -> dict[str, Written]:
    """Write a fit within the caller's transaction; return what became of each table's rows.

    When a fit comes into force, parameters on another scale (version) go, and so do those of an item
    that had answers enough and was left out all the same. An item with too few recent answers keeps its
    last parameters. Abilities that rest on answers which are gone go too.

    Parameters
    ----------
    ability_as_of
        user_id, as_of: the newest answer that the fit used of each learner.
    topic_abilities
        user_id, topic_id, theta, se, n, as_of.
    """
    own = {"version": record.version, "fitted_at": record.fitted_at}
    stamps = own | {"model": calibration.model}
    connection.execute(
        sa.insert(MirtFitMeta).values(
            run_id=record.run_id,
            model_spec=dict(record.model_spec) | {"in_force": reach.in_force},
            metrics=dict(record.metrics),
            fitted_at=record.fitted_at,
        )
    )
    history = parameter_rows(calibration).with_columns(run_id=pl.lit(record.run_id), **_literals(own))
    in_reach = pl.col("item_id").is_in(list(reach.items.item_ids))
    items = history.filter(in_reach).drop("run_id")
    written = {
        "mirt_item_params_history": _upsert(connection, MirtItemParamsHistory, history),
        "mirt_item_params": _upsert(connection, MirtItemParams, items),
    }
    if reach.in_force:
        # As late as can be, since updates of θ wait from here on; one on the old scale must not come after.
        connection.execute(sa.text(REPLACE_FIT))
    if reach.abilities:
        abilities = ability_rows(calibration.abilities).join(ability_as_of, on="user_id")
        abilities = abilities.with_columns(source=pl.lit("calibration"), **_literals(stamps))
        written["mirt_ability"] = _replace_abilities(connection, abilities, record.version, reach)
    if reach.in_force:
        topics = topic_abilities.with_columns(**_literals(stamps))
        written["student_topic_theta"] = _replace_topics(connection, topics, reach)
        _drop_superseded(connection, calibration, record.version, min_responses)
    return written


def _upsert(connection: Connection, model: type[Base], frame: pl.DataFrame) -> Written:
    return upsert(connection, Base.metadata.tables[model.__tablename__], frame)


def _replace_abilities(
    connection: Connection, abilities: pl.DataFrame, version: str, reach: Reach
) -> Written:
    """Upsert abilities; of the answers seen, a row newer than its learner's newest answer rests on none."""
    written = _upsert(connection, MirtAbility, abilities)
    table = Base.metadata.tables[MirtAbility.__tablename__]
    staged = stage(connection, table, abilities.select("user_id", "as_of"))
    deleted = connection.execute(
        sa.text(
            "DELETE FROM mirt_ability AS old WHERE source = 'calibration' AND version = :version"
            " AND as_of >= :since AND as_of < :until AND NOT EXISTS ("
            f" SELECT FROM {staged} AS new WHERE new.user_id = old.user_id AND new.as_of >= old.as_of)"
        ),
        {"version": version, "since": reach.since, "until": reach.until},
    )
    return replace(written, deleted=int(deleted.rowcount))


def _replace_topics(connection: Connection, topics: pl.DataFrame, reach: Reach) -> Written:
    written = _upsert(connection, StudentTopicTheta, topics)
    table = Base.metadata.tables[StudentTopicTheta.__tablename__]
    staged = stage(connection, table, topics.select("user_id", "topic_id"))
    deleted = connection.execute(
        sa.text(
            "DELETE FROM student_topic_theta AS old WHERE as_of >= :since AND as_of < :until"
            f" AND NOT EXISTS (SELECT FROM {staged} AS new"
            " WHERE (new.user_id, new.topic_id) = (old.user_id, old.topic_id))"
        ),
        {"since": reach.since, "until": reach.until},
    )
    return replace(written, deleted=int(deleted.rowcount))


def _drop_superseded(
    connection: Connection, calibration: Calibration, version: str, min_responses: int
) -> None:
    for model in (MirtItemParams, StudentTopicTheta):
        connection.execute(sa.delete(model).where(model.version != version))
    rejected = [
        exclusion.id
        for exclusion in calibration.exclusions
        if exclusion.kind is ExclusionKind.ITEM and exclusion.n >= min_responses
    ]
    connection.execute(sa.delete(MirtItemParams).where(MirtItemParams.item_id.in_(rejected)))


def _literals(values: Mapping[str, Any]) -> dict[str, pl.Expr]:
    return {name: pl.lit(value) for name, value in values.items()}


def parameter_rows(calibration: Calibration) -> pl.DataFrame:
    """Return item_id, model and params (JSON; what is unknown is null)."""
    items = calibration.items
    columns = {name: getattr(items, name) for name in PARAMETERS}
    frame = pl.DataFrame(
        {"item_id": list(items.item_ids), "model": list(calibration.item_models), **columns},
        schema_overrides={"item_id": pl.String, "model": pl.String},
    ).fill_nan(None)
    return frame.select("item_id", "model", params=pl.struct(PARAMETERS).struct.json_encode())


def ability_rows(abilities: Abilities) -> pl.DataFrame:
    """Return user_id, theta, se."""
    columns = {"user_id": list(abilities.user_ids), "theta": abilities.theta, "se": abilities.se}
    return pl.DataFrame(columns, schema_overrides={"user_id": pl.String}).fill_nan(None)


def write_question_parameters(connection: Connection, calibration: Calibration, version: str) -> int:
    """Put the parameters into question.meta.irt, never an anchor's; return how many questions changed."""
    items = calibration.items
    columns = {"a": items.a, "b": items.b, "c": items.c, "model": list(calibration.item_models)}
    entry = pl.struct("a", "b", "c", "model", version=pl.lit(version)).struct.json_encode()
    frame = pl.DataFrame({"item_id": list(items.item_ids), **columns}).select(id="item_id", meta=entry)
    staged = stage(connection, Base.metadata.tables["question"], frame)
    result = connection.execute(
        sa.text(
            "UPDATE question SET meta = jsonb_set("
            "  coalesce(nullif(question.meta, 'null'), '{}'), '{irt}', fitted.meta),"
            f" updated_at = now() FROM {staged} AS fitted WHERE question.id = fitted.id"
            # The platform may store NULL or JSON's null; a list or a text has no place for parameters.
            " AND coalesce(jsonb_typeof(question.meta), 'null') IN ('object', 'null')"
            " AND NOT coalesce(question.meta -> 'tags' @> '[\"anchor\"]', false)"
            " AND question.meta -> 'irt' IS DISTINCT FROM fitted.meta"
        )
    )
    return int(result.rowcount)
