"""From a filled document to a page, by the same way as a learner's report."""

import datetime as dt
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reports.document import Document, environment
from reports.figures import Figure
from reports.markdown import Markdown
from reports.rendering.embedded import render_embedded
from reports.rendering.formats import Format
from reports.texts import Texts, texts_in

TEXTS: Texts = texts_in("en")
"""Operators read English."""
RULES = Path(__file__).parent / "operator.css"
NOT_KNOWN = "–"


@dataclass(frozen=True, slots=True)
class Named:
    """A line of the footer."""

    label: str
    value: str


def rendered(source: str, figures: list[Figure], made_at: dt.datetime, **context: object) -> bytes:
    """Return the document of this name, filled with the context, as a self-contained page.

    `made_at` is a time of the data: what is unchanged renders to equal bytes.
    """
    template = environment(TEXTS).get_template(source)
    text = template.render(t=TEXTS, rules=_rules(), **context)
    return render_embedded(Document(text, "en", tuple(figures), made_at), [Format.HTML])[Format.HTML]


def pm(value: float | None, se: float | None, digits: int = 2) -> str:
    """Return a value with its standard error, as far as they are known (NaN is not)."""
    if value is None or math.isnan(value):
        return NOT_KNOWN
    known = "" if se is None or math.isnan(se) else f" ± {TEXTS.number(se, digits)}"
    return TEXTS.number(value, digits) + known


def size(n_bytes: int) -> str:
    """Return a size as people read it."""
    return (
        f"{TEXTS.number(n_bytes / 1e6, 1)} MB" if n_bytes >= 1e6 else f"{TEXTS.number(n_bytes / 1e3, 0)} kB"
    )


@cache
def _rules() -> Markdown:
    """Return the style rules on one line, as a block of YAML takes them."""
    return Markdown(" ".join(RULES.read_text("utf-8").split()))
