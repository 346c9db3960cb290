"""Renders reports to HTML and PDF: `embedded` by pandoc and typst from wheels, or by Quarto itself."""

from collections.abc import Collection
from dataclasses import dataclass

from reports.document import document_of
from reports.model import WeeklyReport
from reports.rendering.embedded import render_embedded
from reports.rendering.files import template_digest
from reports.rendering.formats import Format
from reports.rendering.quarto import render_quarto
from seedtest.settings import ReportRenderer

__all__ = ["Format", "RenderedReport", "render", "template_digest"]


@dataclass(frozen=True, slots=True)
class RenderedReport:
    """A report in a format, ready to be stored."""

    format: Format
    content: bytes


def render(
    report: WeeklyReport, formats: Collection[Format], renderer: ReportRenderer = "embedded"
) -> list[RenderedReport]:
    """Return the report in the formats, in their order.

    A process keeps its pandoc and its fonts between reports. Where several render at once, start them by
    spawn or as a forkserver: typst's threads do not live on in a fork.

    Raises
    ------
    ReportError
        When the document cannot be rendered.
    ConfigurationError
        When the renderer is not installed.
    """
    document = document_of(report)
    made = (render_quarto if renderer == "quarto" else render_embedded)(document, formats)
    return [RenderedReport(each, made[each]) for each in formats]
