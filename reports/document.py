"""The document of a report: `weekly_report.qmd`, filled with a learner's data."""

import datetime as dt
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from reports import wording
from reports.figures import Figure, Figures, draw_figures
from reports.markdown import Markdown, escaped, name
from reports.model import WeeklyReport
from reports.texts import Texts, texts_in
from seedtest.settings import Language

SOURCE = Path(__file__).parent / "weekly_report.qmd"


@dataclass(frozen=True, slots=True)
class Document:
    """A filled document and the figures that it refers to as `figures/<name>.svg`.

    `made_at` is a time of the data, not of the rendering: equal reports render to equal bytes.
    """

    text: str
    language: Language
    figures: tuple[Figure, ...]
    made_at: dt.datetime

    @property
    def printed(self) -> dict[str, str]:
        """The figures for print, by path."""
        return {_path(figure): figure.print_svg for figure in self.figures}

    @property
    def on_screen(self) -> dict[str, str]:
        """The figures in the colours of the page's scheme, by path."""
        return {_path(figure, ".screen"): figure.svg for figure in self.figures}


def _path(figure: Figure, variant: str = "") -> str:
    return f"figures/{figure.name}{variant}.svg"


def document_of(report: WeeklyReport) -> Document:
    """Draw the figures of a report and fill the document, in the learner's language."""
    figures = draw_figures(report, texts_in(report.language))
    drawn = (getattr(figures, field.name) for field in fields(figures))
    return Document(
        text=fill(report, figures),
        language=report.language,
        figures=tuple(figure for figure in drawn if figure is not None),
        made_at=report.data.kpis_computed_at,
    )


def fill(report: WeeklyReport, figures: Figures) -> str:
    """Return the text of the document, ready for pandoc or Quarto."""
    texts = texts_in(report.language)
    said = wording.Wording(texts)
    offered = report.items.candidates[: wording.OFFERED]
    active = [day.attempts > 0 for day in report.days]
    return _template(report.language).render(
        report=report,
        figures=figures,
        t=texts,
        name=name,
        path=lambda figure: Markdown(_path(figure)),
        pm=said.pm,
        seconds=said.seconds,
        items=said.items,
        levels=said.levels,
        goal_target=said.goal_target,
        goal_status=said.goal_status,
        kpi=lambda kpi: getattr(report.kpis, kpi),
        change=lambda kpi: _change(report, kpi),
        percentile=said.percentile(report.ability.percentile) if report.ability else None,
        trend_change=wording.trend_change(report.ability_trend.points),
        fit_counts=wording.fit_counts(report.items.answered),
        is_tall=wording.is_tall,
        offered=offered,
        offered_names=[text for item in offered for text in (item.item_id, item.topic_id)],
        topic_names=[topic.topic_id for topic in report.topics],
        active_days=sum(active),
        longest_streak=wording.longest_streak(active),
        timed_weeks=wording.timed_weeks(report.response_times),
        linking_rows=said.linking_rows(report.linking) if report.linking else (),
        fit_rows=said.fit_rows(report.linking) if report.linking else (),
        usual_range=said.usual_range(report.linking) if report.linking else None,
        data_rows=said.data_rows(report),
    )


def _change(report: WeeklyReport, kpi: str) -> float | None:
    """Return a KPI less last week's, where both are known."""
    now, before = getattr(report.kpis, kpi), getattr(report.last_week_kpis, kpi)
    return None if now is None or before is None else now - before


@cache
def _template(language: Language) -> Template:
    return environment(texts_in(language)).get_template(SOURCE.name)


def environment(texts: Texts) -> Environment:
    """Return an environment in which every value is escaped for markdown: `finalize` comes before HTML's."""
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(SOURCE.parent),
        extensions=["jinja2.ext.i18n"],
        finalize=escaped,
        undefined=StrictUndefined,
        comment_start_string="<!--#",  # {# begins an identifier of a heading
        comment_end_string="-->",
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(_=texts.gettext, gettext=texts.gettext, ngettext=texts.ngettext)
    return environment
