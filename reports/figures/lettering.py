"""Text of figures: what may be drawn, how wide it is, and where a long one is cut."""

import re
import unicodedata
from functools import cache, lru_cache

from matplotlib.font_manager import get_font
from matplotlib.ft2font import LoadFlags

from reports.figures.style import Size
from reports.fonts import DEJAVU_REGULAR, NANUM_BOLD, NANUM_REGULAR, has_glyph

ELLIPSIS = "…"
UNDRAWN = "◇"
_GAP = "\0"
_UNDRAWN = re.compile(f"{_GAP}+")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_UNKNOWN_EM = 1.0
"""Advance of a character that a reader's own fonts draw; most are narrower."""
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NOT_TEXT = frozenset({"Cc", "Cs", "Co", "Cn"})


def drawable(text: str) -> str:
    """Return the text on one line, without what XML forbids or what would turn the text around it."""
    kept = (
        " " if c.isspace() else c
        for c in text
        if c.isspace() or not (c in _BIDI_CONTROLS or unicodedata.category(c) in _NOT_TEXT)
    )
    return " ".join("".join(kept).split())


def printable(text: str) -> str:
    """Return the text with a ◇ for each run of characters, such as emoji, that none of the fonts has.

    On a screen the reader's own fonts draw them.
    """
    return _BEYOND_ASCII.sub(lambda run: _with_gaps(run[0]), text)


def _with_gaps(text: str) -> str:
    return _UNDRAWN.sub(UNDRAWN, "".join(c if has_glyph(c) else _GAP for c in text))


def text_width(text: str, size: Size, *, bold: bool = False) -> float:
    """Width in px, from the advances of the characters; kerning left aside."""
    return size * sum(_advance_em(c, bold=bold) for c in text)


@lru_cache(maxsize=4096)
def fitted(text: str, width_px: float, size: Size, *, bold: bool = False) -> str:
    """Return the text, cut to the width and ended by an ellipsis where it is too long."""
    line = drawable(text)
    if text_width(line, size, bold=bold) <= width_px:
        return line
    room = width_px / size - _advance_em(ELLIPSIS, bold=bold)
    kept = 0
    for c in line:
        room -= _advance_em(c, bold=bold)
        if room < 0:
            break
        kept += 1
    return line[: _cluster_start(line, kept)].rstrip() + ELLIPSIS


def _cluster_start(line: str, at: int) -> int:
    """Step back to where no character is parted from what belongs to it: accents, joined emoji."""
    while at and (_joins(line[at]) or line[at - 1] == "\u200d"):
        at -= 1
    return at


def _joins(c: str) -> bool:
    return c == "\u200d" or unicodedata.category(c) in {"Mn", "Me", "Mc"} or "\U0001f3fb" <= c <= "\U0001f3ff"


@cache
def _advance_em(c: str, *, bold: bool) -> float:
    if unicodedata.category(c) in {"Mn", "Me", "Cf"}:
        return 0.0
    for path in (NANUM_BOLD if bold else NANUM_REGULAR, DEJAVU_REGULAR):
        font = get_font(path)
        if glyph := font.get_char_index(ord(c)):
            return font.load_glyph(glyph, LoadFlags.NO_SCALE).horiAdvance / font.units_per_EM
    return _UNKNOWN_EM
