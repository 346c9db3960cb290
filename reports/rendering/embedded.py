"""The embedded renderer: pandoc and typst from wheels, without a file of the learner's on disk."""

import atexit
import os
from collections.abc import Collection
from functools import cache

from reports.document import Document
from reports.markdown import BREAK
from reports.rendering.files import FILTER, HTML_TEMPLATE, TYPST_TEMPLATE
from reports.rendering.formats import Format
from reports.rendering.pandoc import Pandoc, Setup
from reports.rendering.pdf import pdf
from reports.rendering.style import style_sheet

STYLE = "<!-- style -->"
"""Stands in the head of the HTML template, before anything that a learner wrote."""
_WRITER = {Format.HTML: "html", Format.PDF: "typst"}


def render_embedded(document: Document, formats: Collection[Format]) -> dict[Format, bytes]:
    """Return the document in the formats."""
    written = _pandoc_of(os.getpid()).convert(
        document.text, [_WRITER[each] for each in formats], document.on_screen
    )
    made = {}
    if Format.HTML in formats:
        made[Format.HTML] = _page(document, written["html"])
    if Format.PDF in formats:
        made[Format.PDF] = pdf(written["typst"], document.printed, document.made_at)
    return made


def _page(document: Document, html: str) -> bytes:
    """Return the page with its style; browsers break long words by themselves."""
    html = html.replace(BREAK, "")
    return html.replace(STYLE, style_sheet(document.language, html), 1).encode()


@cache
def _pandoc_of(_process_id: int) -> Pandoc:
    """Return this process's pandoc: one that a parent process started is the parent's."""
    templates = {"html": HTML_TEMPLATE, "typst": TYPST_TEMPLATE}
    pandoc = Pandoc(
        Setup(
            filter=FILTER.read_text("utf-8"),
            templates={name: path.read_text("utf-8") for name, path in templates.items()},
        )
    )
    atexit.register(pandoc.close)
    return pandoc
