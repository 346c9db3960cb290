"""The operators' pages as they lie in the bucket."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from reports.operator_pages import bank_page, cohort_page
from reports.operator_pages.cohort import load_cohort
from reports.operator_pages.cohort_page import Troubles
from reports.operator_pages.item_bank import load_item_bank
from seedtest.settings import Settings


@dataclass(frozen=True)
class Page:
    """A page: its name for a link, and where it lies; `keys` after the first are copies."""

    name: str
    keys: tuple[str, ...]
    content: bytes


def cohort_pages(
    connection: Connection, week_start: dt.date, settings: Settings, troubles: Troubles | None = None
) -> Iterator[Page]:
    """Yield the index of a week, then the pages of learners that it has no room for."""
    cohort = load_cohort(connection, week_start, lookback_days=settings.kpi_lookback_days)
    for number in range(1, cohort_page.page_count(cohort) + 1):
        name = f"Reports of the week from {week_start}" + (f", page {number}" if number > 1 else "")
        content = cohort_page.cohort_page(cohort, number, troubles or Troubles())
        yield Page(name, (cohort_page.index_key(week_start, number),), content)


def item_bank_page(connection: Connection, settings: Settings) -> Page | None:
    """Return the page of the item bank with its copy by fit; None as long as there is no item bank."""
    item_bank = load_item_bank(connection, settings)
    if item_bank is None:
        return None
    keys = (bank_page.INDEX_KEY, bank_page.fit_key(item_bank.fit.run_id))
    return Page("Item bank", keys, bank_page.bank_page(item_bank))
