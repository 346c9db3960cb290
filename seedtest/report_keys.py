"""Where a report lies in the bucket (domain §8)."""

import datetime as dt
from urllib.parse import quote

from seedtest.settings import Settings

# A learner who is called _index has reports beside these pages, under other names.
INDEX_FOLDER = "reports/_index/"


def report_key(user_id: str, week_start: dt.date, report_format: str) -> str:
    """Return the key of a report: the learner's id is one segment, whatever stands in it."""
    segment = quote(user_id, safe="")
    # A segment of one or two dots means another folder to whatever keeps objects as files.
    if segment in {".", ".."}:
        segment = segment.replace(".", "%2E")
    return f"reports/{segment}/{week_start.isoformat()}/report.{report_format}"


def week_index_key(week_start: dt.date) -> str:
    """Return the key of the page that shows operators a week's reports."""
    return f"{INDEX_FOLDER}{week_start.isoformat()}/index.html"


def report_link(settings: Settings, bucket: str, key: str) -> str:
    """Return what a person follows to an object: REPORT_LINK_BASE and the key, never a signed address."""
    base = settings.report_link_base or (
        f"https://s3.console.aws.amazon.com/s3/object/{bucket}?region={settings.aws_region}&prefix="
    )
    return f"{base if base.endswith(('/', '=')) else base + '/'}{quote(key)}"
