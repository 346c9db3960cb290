"""Values as the text they are inside a markdown document: nothing in them is markup, whatever it is."""

import re

from markupsafe import Markup

from reports.figures.lettering import drawable

NO_TEXT = "–"
BREAK = "\u200b"
"""A place where a long word may go on in the next line; nothing is shown there."""
_LONG_WORD = re.compile(r"[^\s\u200b]{19,}")
_PLAIN = r"[!-~\u00a1-\u024f\uac00-\ud7a3]"
_BREAKS_AFTER = re.compile(rf"{_PLAIN}{{1,13}}?[._/:,;@&=?|+-]|{_PLAIN}{{10}}")
"""Parts of a long word: up to a sign, or ten letters that do not join."""
_MARKUP = re.compile(r"[!-/:-@\[-`{-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_SPACE = re.compile(r"[ \t-\r\x1c-\x1f\x85\u2028\u2029]+")
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_SHORTHAND = re.compile(r"(?<=\.)(?=\.)|(?<=-)(?=[-?])")
_BLOCK = re.compile(r"[=+/-]|\d+\.")
_ISOLATED = "\u2068{}\u2069"


Markdown = Markup
"""Markdown of our own making, in which values are escaped already; Jinja2 knows it by this type."""


def escaped(value: object) -> Markdown:
    """Return a value as markdown that shows its text; `Markdown` is taken as it is.

    ASCII punctuation becomes character references, which pandoc reads as text in every place: in paragraphs,
    headings, cells, attributes and metadata. Quarto's shortcodes and the quotes of YAML need it as well.
    """
    if isinstance(value, Markdown):
        return value
    line = _SPACE.sub(" ", _CONTROL.sub("", str(value))).strip()
    return Markdown(_MARKUP.sub(lambda found: f"&#{ord(found[0])};", line))


def name(text: str | None) -> str:
    """Return a learner's, topic's or item's name as plain text that leaves the text around it in order.

    Signs that would turn the direction of what follows are left out, and a name with right-to-left letters
    is isolated. A word too long for a column may break. What typst would take for a heading or a list at the
    start of a cell, or for a dash or an ellipsis, is kept apart by a space that has no width; HTML is written
    without these.
    """
    shown = _LONG_WORD.sub(_breakable, drawable(text or "") or NO_TEXT)
    shown = _SHORTHAND.sub(BREAK, shown)
    if _RIGHT_TO_LEFT.search(shown):
        return _ISOLATED.format(shown)
    return BREAK + shown if _BLOCK.match(shown) else shown


def span(text: str, kind: str) -> Markdown:
    """Return the text as an inline of a class of its own."""
    return Markdown(f"[{escaped(text)}]{{.{kind}}}")


def _breakable(word: re.Match[str]) -> str:
    return _BREAKS_AFTER.sub(lambda found: found[0] + BREAK, word[0]).removesuffix(BREAK)
