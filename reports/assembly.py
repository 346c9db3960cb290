"""The weekly reports of many learners, from a fixed number of queries.

A report of a week is made of what was known when it was due, Monday morning: answers up to the week's
end, θ that rest on such answers, and the fit on them (`bank.load_bank`). Run again later, it shows the
same as long as these are the same: answers that came late, results mended since, a θ estimated again
from the same answers and goals as they are now change it.
"""

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from reports.bank import load_bank
from reports.learner import build, measure
from reports.model import WeeklyReport
from reports.period import Period
from reports.queries import load_source
from seedtest.errors import DataError
from seedtest.failures import BAD_DATA_ERRORS, UserFailure
from seedtest.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assembled:
    """Reports in the order of the learners asked for, who of them failed and why, and who has no KPIs."""

    reports: tuple[WeeklyReport, ...]
    failures: tuple[UserFailure, ...]
    without_kpis: tuple[str, ...]


def assemble(
    connection: Connection, week_start: dt.date, user_ids: Sequence[str], settings: Settings
) -> Assembled:
    """Assemble the reports of these learners of the ISO week from `week_start`, a Monday.

    Seven queries and memory in proportion to the learners' answers; call it for some hundred at a time.
    A learner without a row of weekly_kpi of the week gets no report and is no failure; one whose data is
    impossible fails alone.

    Raises
    ------
    ConfigurationError
        When `week_start` is no Monday.
    DataError
        When the record of the fit cannot be used: then no report can.
    """
    period = Period(week_start)
    bank = load_bank(connection, period.week_end)
    source = load_source(connection, period, user_ids)
    measured = measure(source, period, bank, settings.mirt_repeats)
    kpis = source.kpis
    has_kpis = set(kpis.filter(kpis["week_start"] == week_start)["user_id"])
    reports: list[WeeklyReport] = []
    failures: list[UserFailure] = []
    for user_id in (user_id for user_id in user_ids if user_id in has_kpis):
        try:
            reports.append(build(user_id, measured, period, bank, settings.report_language))
        except (DataError, *BAD_DATA_ERRORS) as error:
            reason = f"the report cannot be assembled: {type(error).__name__}: {error}"
            failures.append(UserFailure(user_id, reason))
            logger.warning("Report of %r, week %s: %s", user_id, week_start, reason)
    without_kpis = tuple(user_id for user_id in user_ids if user_id not in has_kpis)
    return Assembled(tuple(reports), tuple(failures), without_kpis)
