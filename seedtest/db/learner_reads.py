"""What is stored of one learner: abilities, weeks, reports."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.schema import MirtAbility, ReportArtifact, WeeklyKpi


@dataclass(frozen=True)
class StoredAbility:
    """A row of a learner's θ history; `as_of` is the time of the newest answer it used."""

    theta: float
    se: float | None
    model: str
    version: str
    source: str
    as_of: dt.datetime
    fitted_at: dt.datetime


@dataclass(frozen=True)
class StoredWeek:
    """A learner's week: the six KPIs, and what other jobs added."""

    week_start: dt.date
    kpis: dict[str, Any]
    updated_at: dt.datetime


_ABILITY = sa.select(
    MirtAbility.theta,
    MirtAbility.se,
    MirtAbility.model,
    MirtAbility.version,
    MirtAbility.source,
    MirtAbility.as_of,
    MirtAbility.fitted_at,
)


def ability_history(
    connection: Connection, user_id: str, *, since: dt.datetime | None, most: int
) -> Sequence[StoredAbility]:
    """Return the newest abilities of a learner, `most` at most, the oldest of them first."""
    query = _ABILITY.where(MirtAbility.user_id == user_id)
    if since is not None:
        query = query.where(MirtAbility.as_of >= since)
    newest_first = query.order_by(MirtAbility.as_of.desc(), MirtAbility.fitted_at.desc()).limit(most)
    return [StoredAbility(**row) for row in reversed(connection.execute(newest_first).mappings().all())]


def online_ability(connection: Connection, user_id: str, as_of: dt.datetime) -> StoredAbility | None:
    """Return the θ that an update made from the answers up to `as_of`, unless retention took it."""
    query = (
        _ABILITY.where(
            MirtAbility.user_id == user_id, MirtAbility.source == "online", MirtAbility.as_of == as_of
        )
        .order_by(MirtAbility.fitted_at.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else StoredAbility(**row)


def newest_weeks(connection: Connection, user_id: str, n: int) -> Sequence[StoredWeek]:
    """Return the newest `n` weeks of a learner that have KPIs, the oldest of them first."""
    query = (
        sa.select(WeeklyKpi.week_start, WeeklyKpi.kpis, WeeklyKpi.updated_at)
        .where(WeeklyKpi.user_id == user_id)
        .order_by(WeeklyKpi.week_start.desc())
        .limit(n)
    )
    return [StoredWeek(**row) for row in reversed(connection.execute(query).mappings().all())]


def has_report(connection: Connection, user_id: str, week_start: dt.date, report_format: str) -> bool:
    """Whether a report was stored."""
    wanted = sa.select(ReportArtifact.id).where(
        ReportArtifact.user_id == user_id,
        ReportArtifact.week_start == week_start,
        ReportArtifact.format == report_format,
    )
    return bool(connection.scalar(sa.select(wanted.exists())))
