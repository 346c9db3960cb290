"""What the database holds after a run, for a person who has just run it."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy.engine import Engine

from seedtest.db.engine import shown_url
from seedtest.db.schema import Base, ThetaDrain
from seedtest.errors import StackNotRunningError
from seedtest.local.addresses import prefect_api_url
from seedtest.local.folder import StackFolder
from seedtest.local.state import load_state
from seedtest.report_keys import week_index_key
from seedtest.settings import Settings

LATEST = """
SELECT
    (SELECT count(*) FROM attempt_base) AS attempts,
    (SELECT avg(theta) FROM mirt_ability_latest) AS mean_theta,
    (SELECT avg(se) FROM mirt_ability_latest) AS mean_se,
    (SELECT model_spec ->> 'version' FROM mirt_fit_meta
        WHERE coalesce((model_spec ->> 'in_force')::boolean, true)
        ORDER BY fitted_at DESC LIMIT 1) AS version,
    (SELECT max(week_start) FROM report_artifacts) AS report_week
"""


@dataclass(frozen=True)
class Summary:
    """Rows a table, the learners' mean ability, and the places to look at."""

    rows: dict[str, int]
    mean_theta: float | None
    mean_se: float | None
    version: str | None
    ui: str | None
    # Of the newest week that has any; None: there are none, or another store holds them.
    reports: str | None
    home: Path
    database: str


def summarise(engine: Engine, settings: Settings) -> Summary:
    """Count and locate."""
    with engine.connect() as connection:
        latest = connection.execute(sa.text(LATEST)).one()
        rows = {
            name: int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
            for name, table in Base.metadata.tables.items()
        }
    return Summary(
        # The generation of drains is one row for ever.
        rows={"attempt (view)": latest.attempts}
        | {name: n for name, n in sorted(rows.items()) if n and name != ThetaDrain.__tablename__},
        mean_theta=latest.mean_theta,
        mean_se=latest.mean_se,
        version=latest.version,
        ui=_ui(settings),
        reports=_reports(settings, latest.report_week),
        home=settings.home,
        database=shown_url(engine.url),
    )


def _ui(settings: Settings) -> str | None:
    try:
        return prefect_api_url(settings).removesuffix("/api")
    except StackNotRunningError:
        return None


def _reports(settings: Settings, week_start: dt.date | None) -> str | None:
    """Return where the operators' page of a week opens on the embedded stack."""
    state = load_state(StackFolder(settings.home))
    if week_start is None or state is None or state.servers.store is None:
        return None
    return f"{state.servers.store.links_url}/{week_index_key(week_start)}"


def render(summary: Summary) -> RenderableType:
    """Return the summary as a table, with the places to look at below it."""
    table = Table(title="The pipeline's tables", show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for name, rows in summary.rows.items():
        table.add_row(name, f"{rows:,} rows")
    if summary.mean_theta is not None:
        table.add_section()
        mean = f"{summary.mean_theta:.3f} (mean SE {summary.mean_se:.3f}), scale {summary.version}"
        table.add_row("mean θ of the learners", mean)
    return Group(table, *_places(summary))


def _places(summary: Summary) -> list[Text]:
    """Return a line each, which no terminal is to break: an address is clicked on, or copied."""
    places = {"Prefect's UI": summary.ui or "not running: seedtest up"}
    if summary.reports is not None:
        places["weekly reports"] = summary.reports
    places |= {"data": str(summary.home), "database": summary.database}
    width = max(map(len, places))
    return [
        Text(f"{name:{width}}  {place}", no_wrap=True, overflow="ignore") for name, place in places.items()
    ]
