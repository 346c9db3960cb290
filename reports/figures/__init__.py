"""The figures of a weekly report, as SVG."""

from dataclasses import dataclass

from reports.figures.canvas import Figure
from reports.figures.item_map import item_map
from reports.figures.kpi_overview import kpi_overview
from reports.figures.practice_calendar import practice_calendar
from reports.figures.response_times import response_times
from reports.figures.style import CSS
from reports.figures.theta_trend import theta_trend
from reports.figures.topic_profile import topic_profile
from reports.model import WeeklyReport
from reports.texts import Texts

__all__ = [
    "CSS",
    "Figure",
    "Figures",
    "draw_figures",
    "item_map",
    "kpi_overview",
    "practice_calendar",
    "response_times",
    "theta_trend",
    "topic_profile",
]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a report; None where there is nothing to draw and the document says so."""

    kpi_overview: Figure
    theta_trend: Figure | None
    topic_profile: Figure | None
    item_map: Figure | None
    response_times: Figure | None
    practice_calendar: Figure | None


def draw_figures(report: WeeklyReport, texts: Texts) -> Figures:
    """Draw all figures of a report, in the language of the texts."""
    return Figures(
        kpi_overview=kpi_overview(report, texts),
        theta_trend=theta_trend(report, texts),
        topic_profile=topic_profile(report, texts),
        item_map=item_map(report, texts),
        response_times=response_times(report, texts),
        practice_calendar=practice_calendar(report, texts),
    )
