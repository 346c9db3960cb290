"""A week's learners as operators see them: who has a report, their KPIs and θ."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reports.bank import Bank, load_bank
from reports.levels import Level, level_of
from reports.model import KPI_NAMES
from reports.period import Period
from reports.queries import report_users
from seedtest.db.frames import UTC_TIME, Schema, read_frame
from seedtest.db.reports import Coverage, load_coverage
from seedtest.irt.parameters import FloatArray

LEARNERS: Schema = {
    "user_id": pl.String,
    **dict.fromkeys(KPI_NAMES, pl.Float64),
    "theta": pl.Float64,
    "se": pl.Float64,
    "html": pl.Boolean,
    "pdf": pl.Boolean,
    "computed_at": UTC_TIME,
}
# A number beyond what any KPI can be is none; rounding keeps what no double holds from failing the cast.
_KPI = (
    "CASE WHEN jsonb_typeof(k.kpis -> '{name}') = 'number' THEN"
    " CASE WHEN (k.kpis -> '{name}')::numeric BETWEEN -1 AND 1"
    " THEN round((k.kpis -> '{name}')::numeric, 12)::double precision END END AS \"{name}\""
)
LEARNER_QUERY = f"""
SELECT k.user_id, {", ".join(_KPI.format(name=name) for name in KPI_NAMES)}, newest.theta, newest.se,
    coalesce(stored.html, false) AS html, coalesce(stored.pdf, false) AS pdf, k.updated_at AS computed_at
FROM weekly_kpi AS k
LEFT JOIN (
    SELECT user_id, bool_or(format = 'html') AS html, bool_or(format = 'pdf') AS pdf
    FROM report_artifacts WHERE week_start = %(week_start)s GROUP BY user_id
) AS stored USING (user_id)
LEFT JOIN LATERAL (
    SELECT theta, se FROM mirt_ability AS a
    WHERE a.user_id = k.user_id AND a.version = %(version)s AND a.as_of < %(end)s
    ORDER BY a.as_of DESC, a.fitted_at DESC LIMIT 1
) AS newest ON true
WHERE k.week_start = %(week_start)s
"""
WEEK_BEFORE = "SELECT EXISTS (SELECT FROM report_artifacts WHERE week_start = :week_start)"


@dataclass(frozen=True, eq=False)
class Cohort:
    """The learners with KPIs of a week.

    Attributes
    ----------
    learners
        A row each with the schema `LEARNERS`, sorted by id. θ is the newest one stored on the scale of the
        bank from before the week's end; `html` and `pdf` say whether report_artifacts holds the report.
    coverage
        Reports of the week that are stored, and their size.
    n_without_kpis
        Learners who answered before the week's end and have no KPIs of it.
    bank
        The fit that the week's reports rest on.
    has_week_before
        Whether reports of the week before are stored.
    """

    period: Period
    learners: pl.DataFrame
    coverage: tuple[Coverage, ...]
    n_without_kpis: int
    bank: Bank
    has_week_before: bool

    def __len__(self) -> int:
        return self.learners.height

    def values(self, column: str) -> FloatArray:
        """Return the known values of a KPI or of θ."""
        return self.learners[column].drop_nulls().to_numpy()

    def n_missing(self, column: str) -> int:
        """Return how many learners have no value of it."""
        return self.learners[column].null_count()

    @cached_property
    def levels(self) -> Mapping[Level, int]:
        """Learners by the word for their θ, from the highest level to the lowest."""
        counts = Counter(level_of(theta) for theta in self.values("theta").tolist())
        return {level: counts[level] for level in reversed(Level)}

    @cached_property
    def without_report(self) -> pl.DataFrame:
        """Learners of whom no report of the week is stored in any format."""
        return self.learners.filter(~pl.col("html") & ~pl.col("pdf"))

    @property
    def computed_at(self) -> dt.datetime | None:
        """When the newest of the KPIs were computed; None without a learner."""
        newest: Any = self.learners["computed_at"].max()
        return newest if isinstance(newest, dt.datetime) else None


def load_cohort(connection: Connection, week_start: dt.date, *, lookback_days: int) -> Cohort:
    """Read the cohort of a week; `lookback_days` says who counts as active (KPI_LOOKBACK_DAYS)."""
    period = Period(week_start)
    bank = load_bank(connection, period.week_end)
    bound = {"week_start": week_start, "version": bank.version, "end": period.answers.end}
    before = {"week_start": week_start - dt.timedelta(days=7)}
    return Cohort(
        period=period,
        learners=read_frame(connection, LEARNER_QUERY, LEARNERS, bound).sort("user_id"),
        coverage=load_coverage(connection, week_start),
        n_without_kpis=report_users(connection, week_start, lookback_days=lookback_days).n_without_kpis,
        bank=bank,
        has_week_before=connection.execute(sa.text(WEEK_BEFORE), before).scalar_one(),
    )
