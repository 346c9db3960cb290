"""Storing the operators' pages after a run."""

import datetime as dt
import hashlib

from sqlalchemy.engine import Engine

from reports.bucket import ReportBucket
from reports.operator_pages.cohort_page import Troubles
from reports.operator_pages.pages import Page, cohort_pages, item_bank_page
from reports.rendering.formats import Format
from seedtest.settings import Settings


def publish_pages(
    engine: Engine, bucket: ReportBucket, week_start: dt.date, troubles: Troubles, settings: Settings
) -> list[tuple[str, str]]:
    """Store a week's pages and the item bank's; return the name and key of each, the index first.

    Call it after the reports of the whole week: the pages show what report_artifacts holds, and link to
    nothing else. A page whose very content lies there already is not sent again.

    Raises
    ------
    DataError
        The record of the fit in force cannot be read.
    ReportError
        A page cannot be rendered.
    StorageError
        The object store cannot be used.
    """
    stored = []
    for page in _pages(engine, week_start, troubles, settings):
        content_hash = hashlib.sha256(page.content).hexdigest()
        for key in page.keys:
            bucket.put(key, page.content, Format.HTML.content_type, content_hash)
        stored.append((page.name, page.keys[0]))
    return stored


def _pages(engine: Engine, week_start: dt.date, troubles: Troubles, settings: Settings) -> list[Page]:
    with engine.execution_options(isolation_level="REPEATABLE READ").begin() as connection:
        item_bank = item_bank_page(connection, settings)
        of_week = cohort_pages(connection, week_start, settings, troubles)
        return [*of_week, *([item_bank] if item_bank else [])]
