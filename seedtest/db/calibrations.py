"""Fits in the database: reading the one in force, writing a new one in a single transaction."""

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.frames import Schema, Written, read_frame, stage, upsert
from seedtest.db.schema import (
    Base,
    MirtAbility,
    MirtFitMeta,
    MirtItemParams,
    MirtItemParamsHistory,
    StudentTopicTheta,
)
from seedtest.evidence import ABILITIES, GOALS
from seedtest.irt import Abilities, Calibration, ExclusionKind, ItemParameters, Prior
from seedtest.scale import FIRST_VERSION, Fit

logger = logging.getLogger(__name__)

PARAMETERS = ("a", "b", "c", "se_a", "se_b", "se_c", "n")
_PARAMETER_SCHEMA: Schema = {"item_id": pl.String, **dict.fromkeys(PARAMETERS, pl.Float64)}
# A value that is no number, or none that a double holds, counts as missing: the platform writes
# question.meta, not we. A CASE tests in its order, so no cast meets what it cannot take.
_PARAMETER_COLUMNS = ", ".join(
    f"CASE WHEN jsonb_typeof({{params}} -> '{name}') <> 'number' THEN NULL"
    f" WHEN abs(({{params}} -> '{name}')::numeric) BETWEEN 1e-300 AND 1e15"
    f" OR ({{params}} -> '{name}')::numeric = 0"
    f" THEN ({{params}} -> '{name}')::double precision END AS {name}"
    for name in PARAMETERS
)


def load_fit(connection: Connection) -> Fit:
    """Return the fit in force; without one, no items and the standard normal prior."""
    meta = connection.execute(
        sa.select(MirtFitMeta.run_id, MirtFitMeta.model_spec).order_by(MirtFitMeta.fitted_at.desc()).limit(1)
    ).first()
    columns = _PARAMETER_COLUMNS.format(params="params")
    items = _item_parameters(
        read_frame(connection, f"SELECT item_id, {columns} FROM mirt_item_params", _PARAMETER_SCHEMA)
    )
    if meta is None:
        return Fit(items, Prior(), FIRST_VERSION, None, on_anchors=False)
    spec = meta.model_spec
    prior = Prior(spec["theta_mean"], spec["theta_sd"])
    return Fit(items, prior, spec["version"], meta.run_id, on_anchors=bool(spec["on_anchors"]))


@dataclass(frozen=True)
class Seeds:
    """Parameters that questions bring along: anchors fix the scale, the others are starting values."""

    anchors: ItemParameters
    starts: ItemParameters

    def __len__(self) -> int:
        return len(self.anchors) + len(self.starts)


def load_seeds(connection: Connection) -> Seeds:
    """Return the questions whose meta.irt holds parameters, apart by the tag `anchor`."""
    frame = read_frame(
        connection,
        "SELECT id AS item_id, meta -> 'tags' @> '[\"anchor\"]' AS anchor, "
        + _PARAMETER_COLUMNS.format(params="(meta -> 'irt')")
        + " FROM question WHERE jsonb_typeof(meta -> 'irt') = 'object'",
        {**_PARAMETER_SCHEMA, "anchor": pl.Boolean},
    ).filter(pl.col("a").is_not_null() & pl.col("b").is_not_null())
    anchor = pl.col("anchor").fill_null(value=False)
    return Seeds(_item_parameters(frame.filter(anchor)), _item_parameters(frame.filter(~anchor)))


def _item_parameters(frame: pl.DataFrame) -> ItemParameters:
    """Build item parameters, sorted by id; c is 0 where unknown, standard errors are NaN."""
    frame = frame.sort("item_id").with_columns(pl.col("c", "n").fill_null(0.0)).fill_null(np.nan)
    columns = {name: frame[name].to_numpy() for name in PARAMETERS}
    return ItemParameters(tuple(frame["item_id"]), **{**columns, "n": columns["n"].astype(np.int64)})


def load_abilities(connection: Connection, before: dt.date) -> pl.DataFrame:
    """Return the history of abilities whose newest answer is from before this day."""
    columns = ", ".join(ABILITIES)
    query = f"SELECT {columns} FROM mirt_ability WHERE as_of < %(before)s"
    start = dt.datetime.combine(before, dt.time(), dt.UTC)
    return read_frame(connection, query, ABILITIES, {"before": start}).sort("user_id", "as_of", "fitted_at")


def load_goals(connection: Connection) -> pl.DataFrame:
    """Return the learners' goals that name a level."""
    query = f"SELECT {', '.join(GOALS)} FROM interest_goal WHERE target_level IS NOT NULL"
    return read_frame(connection, query, GOALS).sort("user_id", "topic_id")


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


def write_fit(
    connection: Connection,
    calibration: Calibration,
    record: FitRecord,
    *,
    ability_as_of: pl.DataFrame,
    topic_abilities: pl.DataFrame,
    retention_days: int,
    min_responses: int,
) -> dict[str, Written]:
    """Write a fit within the caller's transaction; return what became of each table's rows.

    Parameters on another scale (version) go, and so do those of an item that had answers enough and
    was left out all the same; their history stays. An item with too few recent answers keeps its last
    parameters. The history of abilities is cut at `retention_days`, but for each learner's newest row.

    Parameters
    ----------
    ability_as_of
        user_id, as_of: the newest answer that the fit used of each learner.
    topic_abilities
        user_id, topic_id, theta, se, n, as_of.
    """
    stamps = {"model": calibration.model, "version": record.version, "fitted_at": record.fitted_at}
    items = parameter_rows(calibration.items).with_columns(**_literals(stamps))
    history = items.with_columns(run_id=pl.lit(record.run_id))
    abilities = ability_rows(calibration.abilities).join(ability_as_of, on="user_id")
    abilities = abilities.with_columns(source=pl.lit("calibration"), **_literals(stamps))
    topics = topic_abilities.with_columns(**_literals(stamps))
    connection.execute(
        sa.insert(MirtFitMeta).values(
            run_id=record.run_id,
            model_spec=dict(record.model_spec),
            metrics=dict(record.metrics),
            fitted_at=record.fitted_at,
        )
    )
    written = {
        model.__tablename__: upsert(connection, Base.metadata.tables[model.__tablename__], frame)
        for model, frame in (
            (MirtItemParams, items),
            (MirtItemParamsHistory, history),
            (MirtAbility, abilities),
            (StudentTopicTheta, topics),
        )
    }
    _drop_superseded(connection, calibration, record.version, min_responses)
    _prune(connection, record.fitted_at - dt.timedelta(days=retention_days))
    return written


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


def _prune(connection: Connection, horizon: dt.datetime) -> None:
    connection.execute(
        sa.text(
            "DELETE FROM mirt_ability AS old WHERE as_of < :horizon AND EXISTS ("
            " SELECT FROM mirt_ability AS newer"
            " WHERE newer.user_id = old.user_id AND newer.as_of > old.as_of)"
        ),
        {"horizon": horizon},
    )


def _literals(values: Mapping[str, Any]) -> dict[str, pl.Expr]:
    return {name: pl.lit(value) for name, value in values.items()}


def parameter_rows(items: ItemParameters) -> pl.DataFrame:
    """Return item_id and params (JSON; what is unknown is null)."""
    columns = {name: getattr(items, name) for name in PARAMETERS}
    frame = pl.DataFrame({"item_id": list(items.item_ids), **columns}).fill_nan(None)
    return frame.select("item_id", params=pl.struct(PARAMETERS).struct.json_encode())


def ability_rows(abilities: Abilities) -> pl.DataFrame:
    """Return user_id, theta, se."""
    columns = {"user_id": list(abilities.user_ids), "theta": abilities.theta, "se": abilities.se}
    return pl.DataFrame(columns, schema_overrides={"user_id": pl.String}).fill_nan(None)


def write_question_parameters(connection: Connection, items: ItemParameters, model: str, version: str) -> int:
    """Put the parameters into question.meta.irt, never an anchor's; return how many questions changed."""
    columns = {"item_id": list(items.item_ids), "a": items.a, "b": items.b, "c": items.c}
    entry = pl.struct("a", "b", "c", model=pl.lit(model), version=pl.lit(version)).struct.json_encode()
    frame = pl.DataFrame(columns).select(id="item_id", meta=entry)
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
