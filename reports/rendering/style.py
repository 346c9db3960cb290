"""The style sheet of a report in HTML: its rules, the colours of the figures, the fonts it needs."""

import base64
from functools import cache, lru_cache
from pathlib import Path

from reports.figures import CSS
from reports.fonts import WebFont, web_fonts
from reports.texts import catalogue_characters
from seedtest.settings import Language

RULES = Path(__file__).parents[1] / "templates" / "report.css"


def style_sheet(language: Language, text: str) -> str:
    """Return the style sheet for a report with the text: no more of the fonts than it shows.

    The characters of the catalogue are one part, made once a process; those that a learner's own names add
    are another.
    """
    common = catalogue_characters(language)
    own = frozenset(c for c in frozenset(text) - common if not c.isspace())
    return _common(language) + _faces(own)


@cache
def _common(language: Language) -> str:
    return CSS + RULES.read_text("utf-8") + _faces(catalogue_characters(language))


@lru_cache(maxsize=256)
def _faces(characters: frozenset[str]) -> str:
    return "".join(_face(font) for font in web_fonts(characters))


def _face(font: WebFont) -> str:
    source = base64.b64encode(font.woff2).decode()
    return (
        f'@font-face{{font-family:"{font.family}";font-weight:{font.weight};font-display:block;'
        f'src:url("data:font/woff2;base64,{source}") format("woff2");unicode-range:{_ranges(font)}}}\n'
    )


def _ranges(font: WebFont) -> str:
    return ",".join(f"U+{ord(c):X}" for c in sorted(font.characters))
