"""PDF by typst, within this process: no file is written, and the fonts are looked through once."""

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import typst

from reports.fonts import DEJAVU_FOLDER, NANUM_FOLDER, has_glyph
from seedtest.errors import ReportError

STANDARD: Final = "ua-1"
"""PDF/UA-1: tagged for screen readers; typst refuses a document that lacks a title or an alternative text."""
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_UNSEEN = frozenset({"Cf", "Mn", "Me", "Zl", "Zp", "Zs"})


def pdf(source: str, media: Mapping[str, str], made_at: dt.datetime) -> bytes:
    """Return the typst document as a tagged PDF with embedded fonts.

    Raises
    ------
    ReportError
        When typst refuses the source.
    """
    content = {"main.typ": spelled_out(source), **media}
    # Files by path are documented, but typst's stubs do not know them.
    files: Any = {path: text.encode() for path, text in content.items()}
    try:
        made = _compiler().compile(
            input=files, format="pdf", pdf_standards=[STANDARD], timestamp=int(made_at.timestamp())
        )
    except typst.TypstError as refused:
        raise ReportError(f"typst cannot render the report: {refused}") from refused
    if not isinstance(made, bytes):
        raise ReportError(f"typst gave {type(made).__name__} for the report, not the bytes of a PDF.")
    return made


def spelled_out(text: str) -> str:
    """Return the text with the names of characters that no font can draw, such as (brain) for an emoji."""
    unknown = {c for c in _BEYOND_ASCII.findall(text) if not has_glyph(c)}
    return text.translate({ord(c): _spelled(c) for c in unknown}) if unknown else text


def _spelled(character: str) -> str:
    """Return a character's name; nothing for one that is not seen by itself, as a joiner or an accent."""
    if unicodedata.category(character) in _UNSEEN or unicodedata.category(character) == "Sk":
        return character if character in "\u2068\u2069\u200b" else ""
    return f"({unicodedata.name(character, f'U+{ord(character):04X}').lower()})"


@cache
def _compiler() -> typst.Compiler:
    fonts = typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=False,
        font_paths=[str(NANUM_FOLDER), str(DEJAVU_FOLDER)],
    )
    return typst.Compiler(font_paths=fonts, ignore_system_fonts=True)
