"""Reading what the stages start from: the fit in force, seeds, abilities, goals."""

import datetime as dt
import logging
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.frames import Schema, read_frame
from seedtest.db.schema import MirtFitMeta
from seedtest.evidence import ABILITIES, GOALS
from seedtest.irt import ItemParameters, Prior
from seedtest.scale import FIRST_VERSION, Fit

logger = logging.getLogger(__name__)

USABLE = (
    (pl.col("a") > 0).fill_null(value=False)
    & pl.col("b").is_not_null()
    & pl.col("c").is_between(0, 1, closed="left").fill_null(value=True)
)
"""Parameters that an answer can be scored by."""

PARAMETERS = ("a", "b", "c", "se_a", "se_b", "se_c", "n")
PARAMETER_SCHEMA: Schema = {"item_id": pl.String, **dict.fromkeys(PARAMETERS, pl.Float64)}
# The platform writes question.meta, not we: numbers may stand there as text, and what no double holds
# counts as missing. A CASE tests in its order, so no cast meets what it cannot take.
_NUMBER = r"^[+-]?[0-9]{1,15}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?$"
_SMALLEST = float(np.finfo(np.float64).tiny)
PARAMETER_COLUMNS = ", ".join(
    f"CASE WHEN jsonb_typeof({{params}} -> '{name}') = 'number' THEN"
    f" CASE WHEN abs(({{params}} -> '{name}')::numeric) BETWEEN {_SMALLEST!r} AND 1e15"
    f" OR ({{params}} -> '{name}')::numeric = 0"
    f" THEN ({{params}} -> '{name}')::double precision END"
    f" WHEN {{params}} ->> '{name}' ~ '{_NUMBER.replace('{', '{{').replace('}', '}}')}'"
    f" THEN ({{params}} ->> '{name}')::double precision END AS {name}"
    for name in PARAMETERS
)


IN_FORCE = sa.func.coalesce(MirtFitMeta.model_spec["in_force"].as_boolean(), sa.true())
"""A fit on some topic or exam only, or on days before the last fit's, is kept but not in force."""


def load_fit(connection: Connection) -> Fit:
    """Return the fit in force; without one, the items there are and the standard normal prior."""
    query = sa.select(MirtFitMeta.run_id, MirtFitMeta.model_spec).where(IN_FORCE)
    meta = connection.execute(query.order_by(MirtFitMeta.fitted_at.desc()).limit(1)).first()
    columns = PARAMETER_COLUMNS.format(params="params")
    rows = read_frame(connection, f"SELECT item_id, {columns} FROM mirt_item_params", PARAMETER_SCHEMA)
    unusable = tuple(rows.filter(~USABLE)["item_id"].sort())
    if unusable:
        logger.warning("Parameters of %d items cannot be used, such as %s", len(unusable), unusable[0])
    items = item_parameters(rows.filter(USABLE))
    if meta is None:
        return Fit(items, Prior(), FIRST_VERSION, None, on_anchors=False, unusable=unusable)
    spec = meta.model_spec
    return Fit(
        items,
        Prior(spec["theta_mean"], spec["theta_sd"]),
        spec["version"],
        meta.run_id,
        on_anchors=bool(spec["on_anchors"]),
        last_day=dt.date.fromisoformat(spec["last_day"]) if "last_day" in spec else None,
        unusable=unusable,
    )


@dataclass(frozen=True)
class Seeds:
    """Parameters that questions bring along: anchors fix the scale, the others are starting values.

    `unusable` are the questions whose meta.irt holds no finite a > 0 and b, or a c that is no probability
    below 1.
    """

    anchors: ItemParameters
    starts: ItemParameters
    unusable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.anchors) + len(self.starts)


def load_seeds(connection: Connection) -> Seeds:
    """Return the questions whose meta.irt holds parameters, apart by the tag `anchor`."""
    frame = read_frame(
        connection,
        "SELECT id AS item_id, meta -> 'tags' @> '[\"anchor\"]' AS anchor, "
        + PARAMETER_COLUMNS.format(params="(meta -> 'irt')")
        + " FROM question WHERE jsonb_typeof(meta -> 'irt') = 'object'",
        {**PARAMETER_SCHEMA, "anchor": pl.Boolean},
    )
    anchor, usable = pl.col("anchor").fill_null(value=False), frame.filter(USABLE)
    return Seeds(
        item_parameters(usable.filter(anchor)),
        item_parameters(usable.filter(~anchor)),
        tuple(frame.filter(~USABLE)["item_id"].sort()),
    )


def item_parameters(frame: pl.DataFrame) -> ItemParameters:
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


# An index entry a learner and day is read, however long the history is.
NEWEST_ABILITIES = f"""
SELECT DISTINCT {", ".join(f"newest.{column}" for column in ABILITIES)}
FROM unnest(%(user_ids)s::text[]) AS learner (user_id)
CROSS JOIN unnest(%(ends)s::timestamptz[]) AS day (ends_at)
CROSS JOIN LATERAL (
    SELECT {", ".join(ABILITIES)} FROM mirt_ability AS a
    WHERE a.user_id = learner.user_id AND a.as_of < day.ends_at
    ORDER BY a.as_of DESC, a.fitted_at DESC, a.theta DESC, a.se DESC NULLS LAST LIMIT 1
) AS newest
"""


def abilities_as_of(connection: Connection, user_ids: pl.Series, days: Collection[dt.date]) -> pl.DataFrame:
    """Return each learner's newest ability at the end of each of some days (`ABILITIES`)."""
    ends = [dt.datetime.combine(day, dt.time(), dt.UTC) + dt.timedelta(days=1) for day in days]
    bounds = {"user_ids": user_ids.to_list(), "ends": ends}
    rows = read_frame(connection, NEWEST_ABILITIES, ABILITIES, bounds)
    return rows.sort("user_id", "as_of", "fitted_at")


def load_goals(connection: Connection, user_ids: pl.Series | None = None) -> pl.DataFrame:
    """Return the goals that name a level, of all learners or of some."""
    query = f"SELECT {', '.join(GOALS)} FROM interest_goal WHERE target_level IS NOT NULL"
    bounds = {}
    if user_ids is not None:
        query, bounds = f"{query} AND user_id = ANY(%(user_ids)s)", {"user_ids": user_ids.to_list()}
    return read_frame(connection, query, GOALS, bounds).sort("user_id", "topic_id")
