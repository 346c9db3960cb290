"""The pages of a week: overview, distributions, and the learners with links to their reports."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup

from reports.figures import Figure
from reports.figures.histogram import Distribution, histogram
from reports.levels import level_of
from reports.markdown import Markdown
from reports.model import KPI_NAMES
from reports.operator_pages.cohort import Cohort
from reports.operator_pages.documents import NOT_KNOWN, TEXTS, Named, pm, rendered, size
from reports.operator_pages.tables import Cell, Column, Group, Kind, folded_tables, link, listed, table
from seedtest.failures import UserFailure
from seedtest.report_keys import INDEX_FOLDER, report_key, week_index_key
from seedtest.version import code_version

SOURCE = "cohort_index.qmd"
LEARNERS_A_PAGE = 5_000
"""About 1.5 MB where ids are UUIDs; the learners beyond are on further pages."""
LEARNERS_A_GROUP = 500
MOST_LISTED = 500
"""Learners without a report who are listed; all of them are counted, and all stand among the learners."""
LONGEST_ID = 40
"""Characters of an id in the summary of a group."""
NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""For a page of nobody's data."""
_QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Troubles:
    """What the last run could not do: learners, and whole parts of the week."""

    failures: Sequence[UserFailure] = ()
    faults: Sequence[str] = ()


def index_key(week_start: dt.date, number: int = 1) -> str:
    """Return where a page of a week lies in the bucket; the first is the index."""
    if number == 1:
        return week_index_key(week_start)
    return f"{INDEX_FOLDER}{week_start.isoformat()}/{_file(number)}"


def cohort_page(cohort: Cohort, number: int, troubles: Troubles) -> bytes:
    """Return page `number` of the week, from 1 on: the overview stands on the first."""
    is_first = number == 1
    first = (number - 1) * LEARNERS_A_PAGE
    learners = cohort.learners.slice(first, LEARNERS_A_PAGE)
    figures = _kpi_figures(cohort) if is_first else []
    theta = _theta_figure(cohort) if is_first else None
    n_pages = page_count(cohort)
    return rendered(
        SOURCE,
        [*figures, *([theta] if theta else [])],
        cohort.computed_at or NEVER,
        cohort=cohort,
        ids=_subtitle(cohort, number, n_pages),
        page_suffix="" if is_first else f" · page {number}",
        is_first=is_first,
        lead=_lead(cohort),
        size=size,
        failures=troubles.failures,
        faults=troubles.faults,
        failure_table=_failure_table(troubles.failures),
        missing_line=_missing_line(cohort),
        missing_table=_missing_table(cohort, troubles.failures),
        without_kpis_line=_counted(cohort.n_without_kpis, "learner has", "learners have") + " no KPIs.",
        kpi_figures=figures,
        kpi_table=_kpi_table(cohort),
        theta_figure=theta,
        level_table=_level_table(cohort),
        other_pages=_other_pages(cohort, number, n_pages),
        learner_groups=_learner_groups(learners, cohort.period.week_start),
        page_links=_page_links(cohort, number),
        data_rows=_data_rows(cohort),
    )


def page_count(cohort: Cohort) -> int:
    """Return over how many pages the learners are spread."""
    return max(1, -(-len(cohort) // LEARNERS_A_PAGE))


def _file(number: int) -> str:
    return "index.html" if number == 1 else f"learners-{number}.html"


def _counted(n: int, one: str, many: str) -> str:
    return f"{TEXTS.number(n, 0)} {one if n == 1 else many}"


def _subtitle(cohort: Cohort, number: int, n_pages: int) -> str:
    counted = _counted(len(cohort), "learner", "learners")
    return counted if n_pages == 1 else f"{counted}, page {number} of {n_pages}"


def _lead(cohort: Cohort) -> str:
    if not len(cohort):
        return "Nobody has KPIs of this week."
    stored = len(cohort) - cohort.without_report.height
    if stored == len(cohort):
        return f"All {_counted(stored, 'learner', 'learners')} with KPIs of this week have a report."
    share = TEXTS.percent(np.floor(1000 * stored / len(cohort)) / 1000, 1)
    return (
        f"{TEXTS.number(stored, 0)} of {_counted(len(cohort), 'learner', 'learners')} with KPIs of this week "
        f"have a report ({share})."
    )


def _kpi_figures(cohort: Cohort) -> list[Figure]:
    drawn = (
        histogram(
            Distribution(
                f"kpi-{name}",
                f"{name} · {TEXTS.kpi_name(name)}",
                cohort.values(name),
                cohort.n_missing(name),
            ),
            TEXTS,
        )
        for name in KPI_NAMES
    )
    return [figure for figure in drawn if figure is not None]


def _theta_figure(cohort: Cohort) -> Figure | None:
    return histogram(
        Distribution("theta", "θ (logits)", cohort.values("theta"), cohort.n_missing("theta")), TEXTS
    )


def _kpi_table(cohort: Cohort) -> Markdown:
    columns = [Column("KPI"), *(Column(title, Kind.NUMBER) for title in (
        "Learners", "Null", "Lower quartile", "Median", "Upper quartile",
    ))]  # fmt: skip
    return table("The six KPIs over all learners", columns, [_kpi_row(cohort, name) for name in KPI_NAMES])


def _kpi_row(cohort: Cohort, name: str) -> list[Cell]:
    values = cohort.values(name)
    counts = [TEXTS.number(len(values), 0), TEXTS.number(cohort.n_missing(name), 0)]
    quarters = np.quantile(values, _QUARTERS).tolist() if len(values) else [None] * 3
    return [f"{name} · {TEXTS.kpi_name(name)}", *counts, *(pm(value, None) for value in quarters)]


def _level_table(cohort: Cohort) -> Markdown:
    known = max(len(cohort.values("theta")), 1)
    columns = [Column("Level"), Column("Learners", Kind.NUMBER), Column("Share", Kind.NUMBER)]
    rows = [
        [TEXTS.level(level), TEXTS.number(n, 0), TEXTS.percent(n / known)]
        for level, n in cohort.levels.items()
    ]
    return table("Learners by level word, of those with θ", columns, rows)


def _failure_table(failures: Sequence[UserFailure]) -> Markdown:
    shown = [[one.user_id, one.reason] for one in failures[:MOST_LISTED]]
    caption = f"Learners whose report failed{_first_of(len(failures))}"
    return table(caption, [Column("Learner"), Column("Reason", Kind.TEXT)], shown)


def _first_of(n: int) -> str:
    return f" (the first {MOST_LISTED} of {TEXTS.number(n, 0)})" if n > MOST_LISTED else ""


def _missing_line(cohort: Cohort) -> str:
    missing = _counted(cohort.without_report.height, "learner with KPIs has", "learners with KPIs have")
    return (
        f"{missing} no report of this week in any format. A run of generate-weekly-report for the week "
        "makes what is missing."
    )


def _missing_table(cohort: Cohort, failures: Sequence[UserFailure]) -> Markdown:
    reasons = {one.user_id: "failed, see above" for one in failures}
    ids = cohort.without_report["user_id"].head(MOST_LISTED)
    rows: list[list[Cell]] = [[user_id, reasons.get(user_id, "not made in the last run")] for user_id in ids]
    n = cohort.without_report.height
    summary = f"{_counted(n, 'learner', 'learners')} without a report{_first_of(n)}"
    return folded_tables("Missing", [Column("Learner"), Column("Why")], [Group(summary, rows)])


def _learner_groups(learners: pl.DataFrame, week_start: dt.date) -> Markdown:
    columns = [
        Column("Learner, to the report"),
        Column("PDF"),
        Column("θ ± SE", Kind.NUMBER),
        Column("Level"),
    ]
    groups = []
    for part in learners.iter_slices(LEARNERS_A_GROUP):
        rows = [_learner_row(week_start, row) for row in part.iter_rows(named=True)]
        groups.append(Group(_range(part), rows))
    return folded_tables("Learners", columns, groups)


def _range(part: pl.DataFrame) -> str:
    ids = part["user_id"]
    counted = _counted(len(ids), "learner", "learners")
    return f"{_short(ids[0])} – {_short(ids[-1])} ({counted})" if len(ids) > 1 else _short(ids[0])


def _short(user_id: str) -> str:
    return user_id if len(user_id) <= LONGEST_ID else user_id[: LONGEST_ID - 1] + "…"


def _learner_row(week_start: dt.date, row: Mapping[str, Any]) -> list[Cell]:
    user_id, theta = row["user_id"], row["theta"]
    missing = NOT_KNOWN if row["html"] else "no report"
    return [
        _report_link(user_id, week_start, "html", user_id) if row["html"] else user_id,
        _report_link(user_id, week_start, "pdf", "PDF") if row["pdf"] else missing,
        pm(theta, row["se"]),
        NOT_KNOWN if theta is None else TEXTS.level(level_of(theta)),
    ]


def _report_link(user_id: str, week_start: dt.date, report_format: str, text: str) -> Markup:
    return link("../../" + report_key(user_id, week_start, report_format).removeprefix("reports/"), text)


def _other_pages(cohort: Cohort, number: int, n_pages: int) -> Markdown | None:
    """Return links to the further pages, each with the first of its learners."""
    if n_pages == 1:
        return None
    firsts = cohort.learners["user_id"].gather_every(LEARNERS_A_PAGE)
    links = [
        Markup("<li>page {}, from {}</li>").format(at, _short(first))
        if at == number
        else Markup("<li>{} from {}</li>").format(link(_file(at), f"Page {at},"), _short(first))
        for at, first in enumerate(firsts, start=1)
    ]
    return listed(links)


def _page_links(cohort: Cohort, number: int) -> Markdown:
    week = cohort.period.week_start
    links = [link("../item-bank/index.html", "Item bank")]
    if number != 1:
        links.append(link("index.html", "Overview of the week"))
    if cohort.has_week_before:
        before = week - dt.timedelta(days=7)
        links.append(
            link(f"../{before.isoformat()}/index.html", f"Reports of the week from {TEXTS.day(before)}")
        )
    return listed([Markup("<li>{}</li>").format(each) for each in links])


def _data_rows(cohort: Cohort) -> list[Named]:
    linked, computed_at = cohort.bank.linked, cohort.computed_at
    return [
        Named("KPIs computed at", TEXTS.minute(computed_at) if computed_at else NOT_KNOWN),
        Named("Scale of θ", cohort.bank.version),
        Named("Fit behind the reports", linked.run_id if linked else "none yet"),
        Named("Code", code_version()),
    ]
