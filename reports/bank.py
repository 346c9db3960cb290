"""The item bank and the fit that the reports of a week rest on."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection, Row

from reports.model import LinkedFit
from seedtest.db.calibrations import IN_FORCE, PARAMETER_COLUMNS, PARAMETER_SCHEMA, USABLE, item_parameters
from seedtest.db.frames import Schema, read_frame
from seedtest.db.schema import MirtFitMeta
from seedtest.errors import DataError
from seedtest.irt import ItemParameters, Prior
from seedtest.irt.parameters import IndexArray
from seedtest.scale import FIRST_VERSION

_ITEM_SCHEMA: Schema = {**PARAMETER_SCHEMA, "topic_id": pl.String}
CURRENT_ITEMS = "SELECT item_id, params FROM mirt_item_params"
# As they were when the fit came into force: its own items, and those that kept parameters of a fit before.
ITEMS_OF_FIT = """
SELECT known.item_id, newest.params
FROM (
    SELECT item_id FROM mirt_item_params
    UNION SELECT item_id FROM mirt_item_params_history WHERE run_id = %(run_id)s
) AS known
CROSS JOIN LATERAL (
    SELECT params FROM mirt_item_params_history AS past
    WHERE past.item_id = known.item_id AND past.fitted_at <= %(fitted_at)s AND past.version = %(version)s
    ORDER BY past.fitted_at DESC LIMIT 1
) AS newest
"""


@dataclass(frozen=True, eq=False)
class Bank:
    """Calibrated items on one scale, with the learners' distribution on it.

    Attributes
    ----------
    items
        Parameters, sorted by id.
    topic_ids
        The topic of each item, None where it has none, (n_items,).
    prior
        N(theta_mean, theta_sd²) of the fit.
    linked
        The fit and how it came to its scale; None before the first fit.
    """

    items: ItemParameters
    topic_ids: NDArray[np.object_]
    prior: Prior
    version: str
    linked: LinkedFit | None

    @cached_property
    def by_topic(self) -> dict[str, IndexArray]:
        """The places of each topic's items, in order of their ids."""
        rows = pl.DataFrame({"topic_id": pl.Series(self.topic_ids.tolist(), dtype=pl.String)})
        grouped = rows.with_row_index("at").drop_nulls().group_by("topic_id").agg("at")
        return {topic_id: np.array(at, dtype=np.int32) for topic_id, at in grouped.iter_rows()}

    @property
    def model(self) -> str:
        """The model of the fit, `unknown` where parameters came without one."""
        return self.linked.model if self.linked else "unknown"


def load_bank(connection: Connection, week_end: dt.date) -> Bank:
    """Return the fit that was in force when the week's reports were due, and its items.

    The newest fit on answers up to `week_end`; where there is none yet, the first one after. So a rerun
    of an old week rests on the fit that its first run rested on, not on tomorrow's, and weeks from before
    the first fit have θ all the same.
    """
    meta = _fit_of(connection, week_end)
    if meta is None:
        items, topic_ids = _read_items(connection, CURRENT_ITEMS, None)
        return Bank(items, topic_ids, Prior(), FIRST_VERSION, None)
    linked = _linked(meta)
    bound = {"run_id": linked.run_id, "fitted_at": linked.fitted_at, "version": linked.version}
    items, topic_ids = _read_items(connection, ITEMS_OF_FIT, bound)
    return Bank(items, topic_ids, Prior(linked.theta_mean, linked.theta_sd), linked.version, linked)


def _fit_of(connection: Connection, week_end: dt.date) -> Row[Any] | None:
    # A fit whose record names no day saw answers up to the day before it was made.
    day_before = sa.func.to_char(
        sa.func.timezone("UTC", MirtFitMeta.fitted_at) - sa.text("interval '1 day'"), "YYYY-MM-DD"
    )
    last_day = sa.func.coalesce(MirtFitMeta.model_spec["last_day"].as_string(), day_before)
    is_known = last_day <= str(week_end)
    query = (
        sa.select(MirtFitMeta.run_id, MirtFitMeta.fitted_at, MirtFitMeta.model_spec)
        .where(IN_FORCE)
        .order_by(
            is_known.desc(),
            sa.case((is_known, MirtFitMeta.fitted_at)).desc(),
            MirtFitMeta.fitted_at,
        )
    )
    return connection.execute(query.limit(1)).first()


def _linked(meta: Row[Any]) -> LinkedFit:
    spec: Mapping[str, Any] = meta.model_spec
    constants = spec.get("linking_constants") or {}
    try:
        return LinkedFit(
            run_id=meta.run_id,
            fitted_at=meta.fitted_at,
            last_day=dt.date.fromisoformat(spec["last_day"]) if spec.get("last_day") else None,
            model=spec["model"],
            version=spec["version"],
            scale=spec.get("scale"),
            method=spec.get("linking_method"),
            slope=constants.get("slope"),
            intercept=constants.get("intercept"),
            reason=None if constants else spec.get("reason"),
            n_anchors=spec.get("n_anchors", 0),
            n_items=spec["n_items"],
            n_users=spec["n_users"],
            theta_mean=spec["theta_mean"],
            theta_sd=spec["theta_sd"],
        )
    except KeyError as error:
        raise DataError(
            f"The record of the fit {meta.run_id} lacks {error}: reports cannot say what scale θ is on. "
            "Calibrate again (mirt-calibrate), or mend its model_spec in mirt_fit_meta."
        ) from None


def _read_items(
    connection: Connection, items: str, bound: Mapping[str, Any] | None
) -> tuple[ItemParameters, NDArray[np.object_]]:
    query = (
        f"SELECT item_id, {PARAMETER_COLUMNS.format(params='params')}, nullif(topic_id, '') AS topic_id"
        f" FROM ({items}) AS item LEFT JOIN question ON question.id = item.item_id"
    )
    rows = read_frame(connection, query, _ITEM_SCHEMA, bound)
    usable = rows.filter(USABLE).sort("item_id")
    return item_parameters(usable.drop("topic_id")), usable["topic_id"].to_numpy().astype(np.object_)
