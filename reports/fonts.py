"""The fonts of the reports: where their files lie, and cut down to the characters of a web page.

Nanum Gothic sets all text. DejaVu Sans steps in where it has no glyph: right-to-left scripts, some emoji,
symbols. Both come with the installed packages, under free licences; no font of the machine is used.
"""

import io
import threading
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

from fontTools import subset
from fontTools.fontBuilder import FontBuilder
from fontTools.ttLib import TTFont

from seedtest.errors import ConfigurationError


def _folder(package: str, *parts: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            f"The fonts of the reports come with the package {package}, which is not installed: "
            "install the pipeline's locked requirements."
        )
    return Path(spec.origin).parent.joinpath(*parts)


NANUM_FOLDER = _folder("koreanize_matplotlib", "fonts")
NANUM_REGULAR = NANUM_FOLDER / "NanumGothic.ttf"
NANUM_BOLD = NANUM_FOLDER / "NanumGothicBold.ttf"
NANUM = "NanumGothic"
"""Family name in the files of Nanum Gothic, by which typst finds them."""
DEJAVU_FOLDER = _folder("matplotlib", "mpl-data", "fonts", "ttf")
DEJAVU_REGULAR = DEJAVU_FOLDER / "DejaVuSans.ttf"
DEJAVU = "DejaVu Sans"

FONT_FILES = (NANUM_REGULAR, NANUM_BOLD, DEJAVU_REGULAR)


@dataclass(frozen=True, slots=True)
class WebFont:
    """A font cut down to `characters`, packed as WOFF 2."""

    family: str
    weight: int
    characters: frozenset[str]
    woff2: bytes


@lru_cache(maxsize=256)
def web_fonts(characters: frozenset[str]) -> tuple[WebFont, ...]:
    """Return the fonts for the characters, in both weights; empty where no font has any of them."""
    nanum = frozenset(c for c in characters if ord(c) in _source(NANUM_REGULAR).glyph_of)
    dejavu = frozenset(c for c in characters - nanum if ord(c) in coverage(DEJAVU_REGULAR))
    fonts = [
        WebFont(NANUM, weight, nanum, _source(path).cut_to(nanum))
        for weight, path in ((400, NANUM_REGULAR), (700, NANUM_BOLD))
        if nanum
    ]
    if dejavu:
        fonts.append(WebFont(DEJAVU, 400, dejavu, _shaped_subset(DEJAVU_REGULAR, dejavu)))
    return tuple(fonts)


@cache
def coverage(path: Path) -> frozenset[int]:
    """Return the code points that a font file has glyphs for."""
    with TTFont(path, lazy=True) as font:
        return frozenset(font.getBestCmap())


def has_glyph(character: str) -> bool:
    """Say whether one of the fonts can draw the character."""
    return ord(character) in coverage(NANUM_REGULAR) or ord(character) in coverage(DEJAVU_REGULAR)


class _Source:
    """A font kept open, from which small ones are built glyph by glyph.

    fontTools' own subsetter takes a font apart anew each time, 0.2 s for Nanum Gothic; the few glyphs that a
    learner's topics add to a report are built from an open font in a tenth of that.
    """

    def __init__(self, path: Path) -> None:
        self.font = TTFont(path, lazy=True)
        self.glyph_of: dict[int, str] = self.font.getBestCmap()
        self._reading = threading.Lock()

    def cut_to(self, characters: frozenset[str]) -> bytes:
        """Return the font with the characters only, without hints or layout tables, as WOFF 2."""
        with self._reading:
            builder = self._built({ord(c): self.glyph_of[ord(c)] for c in sorted(characters)})
        builder.font.flavor = "woff2"
        return _saved(builder.font)

    def _built(self, glyph_of: dict[int, str]) -> FontBuilder:
        glyphs = self._with_components([".notdef", *dict.fromkeys(glyph_of.values())])
        metrics, header, os2 = self.font["hmtx"].metrics, self.font["hhea"], self.font["OS/2"]
        builder = FontBuilder(self.font["head"].unitsPerEm, isTTF=True)
        builder.font.recalcTimestamp = False
        head = self.font["head"]
        builder.updateHead(created=head.created, modified=head.modified)
        builder.setupGlyphOrder(list(glyphs))
        builder.setupCharacterMap(glyph_of)
        builder.setupGlyf(glyphs)
        builder.setupHorizontalMetrics({name: metrics[name] for name in glyphs})
        builder.setupHorizontalHeader(ascent=header.ascent, descent=header.descent, lineGap=header.lineGap)
        builder.setupOS2(
            sTypoAscender=os2.sTypoAscender,
            sTypoDescender=os2.sTypoDescender,
            usWinAscent=os2.usWinAscent,
            usWinDescent=os2.usWinDescent,
        )
        builder.setupNameTable({"familyName": NANUM})
        builder.setupPost(keepGlyphNames=False)
        return builder

    def _with_components(self, names: list[str]) -> dict[str, object]:
        table, found = self.font["glyf"], {}
        waiting = list(reversed(names))
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            glyph = table[name]
            glyph.removeHinting()
            found[name] = glyph
            if glyph.isComposite():
                waiting.extend(glyph.getComponentNames(table))
        return found


@cache
def _source(path: Path) -> _Source:
    return _Source(path)


def _shaped_subset(path: Path, characters: frozenset[str]) -> bytes:
    """Cut with the layout tables kept: Arabic letters join by them."""
    options = subset.Options(hinting=False, notdef_outline=True)
    options.drop_tables += ["FFTM"]  # FontForge's own dates
    with TTFont(path, lazy=True, recalcTimestamp=False) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(text="".join(sorted(characters)))
        cutter.subset(font)
        font.flavor = "woff2"
        return _saved(font)


def _saved(font: TTFont) -> bytes:
    packed = io.BytesIO()
    font.save(packed, reorderTables=False)
    return packed.getvalue()
