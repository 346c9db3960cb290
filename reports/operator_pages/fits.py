"""The last fits, as mirt_fit_meta records them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from seedtest.db.calibrations import IN_FORCE
from seedtest.db.schema import MirtFitMeta
from seedtest.settings import Repeats

SHOWN = 10


@dataclass(frozen=True, slots=True)
class FitRecord:
    """A fit; what its record does not say is None. `dropped` counts what was left out, by reason."""

    run_id: str
    fitted_at: dt.datetime
    in_force: bool
    model: str | None
    version: str | None
    scale: str | None
    method: str | None
    reason: str | None
    n_items: int | None
    n_users: int | None
    n_observations: int | None
    n_anchors: int | None
    slope: float | None
    intercept: float | None
    converged: bool | None
    repeats: Repeats | None
    first_day: dt.date | None
    last_day: dt.date | None
    dropped: Mapping[str, int]


def load_last_fits(connection: Connection) -> tuple[FitRecord, ...]:
    """Return the last fits of any kind, the newest first."""
    return _read(connection, _NEWEST_FIRST.limit(SHOWN))


def load_fits_in_force(connection: Connection, version: str) -> tuple[FitRecord, ...]:
    """Return the last two fits that came into force on a scale, the newest first."""
    on_scale = MirtFitMeta.model_spec["version"].as_string() == version
    return _read(connection, _NEWEST_FIRST.where(IN_FORCE, on_scale).limit(2))


_NEWEST_FIRST = sa.select(
    MirtFitMeta.run_id, MirtFitMeta.fitted_at, MirtFitMeta.model_spec, MirtFitMeta.metrics
).order_by(MirtFitMeta.fitted_at.desc())


def _read(connection: Connection, query: sa.Select[Any]) -> tuple[FitRecord, ...]:
    return tuple(_record(row) for row in connection.execute(query))


def _record(row: Row[Any]) -> FitRecord:
    spec: Mapping[str, Any] = row.model_spec
    constants = spec.get("linking_constants") or {}
    return FitRecord(
        run_id=row.run_id,
        fitted_at=row.fitted_at,
        in_force=spec.get("in_force", True),
        model=spec.get("model"),
        version=spec.get("version"),
        scale=spec.get("scale"),
        method=spec.get("linking_method"),
        reason=spec.get("reason"),
        n_items=spec.get("n_items"),
        n_users=spec.get("n_users"),
        n_observations=spec.get("n_observations"),
        n_anchors=spec.get("n_anchors"),
        slope=constants.get("slope"),
        intercept=constants.get("intercept"),
        converged=(row.metrics or {}).get("converged"),
        repeats=next((each for each in get_args(Repeats) if each == spec.get("repeats")), None),
        first_day=_day(spec.get("first_day")),
        last_day=_day(spec.get("last_day")),
        dropped=spec.get("dropped") or {},
    )


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None
