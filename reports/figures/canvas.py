"""What figures are drawn on: shapes and text in px from the top left, by matplotlib's SVG backend.

A report costs tens of milliseconds, so what takes matplotlib's time is left out. Axes with their ticks cost
20 ms a figure; here scales are plain functions (`scales.py`), and marks of one look are one path. Laying out
a text costs 0.3 ms; here it is placed by its baseline and anchor, and the browser or typst sets it. Text
stays text.
"""

import io
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Literal, NamedTuple
from xml.sax.saxutils import quoteattr

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure as Drawing
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from reports.figures.lettering import drawable, printable
from reports.figures.style import FAMILIES, LABEL, LIGHT, WIDTH_PX, Role, Size, themed
from reports.fonts import NANUM
from reports.texts import MINUS

PX_PER_INCH = 72
DECIMALS = 2
STRIPE_PX = 2
Anchor = Literal["left", "center", "right"]
PRINTED_MINUS = "\u2013"
"""Nanum Gothic has no minus, and in SVG typst would set all of a number that has one in another font."""
_SETTING = threading.Lock()
"""matplotlib's settings are the process's: another thread must not put them back meanwhile."""
_FAMILY_STYLE = f"font-family: '{NANUM}'; "
_GROUP = re.compile(r'<g id="(?:(figure_1|patch_\d+)|([^"]*))">')
_SHAPE_OR_TEXT = re.compile(r"(?<=<path |<text )[^<>]*")
_UNTURNED = re.compile(r' transform="rotate\(-?0 [^"]*"')


class Point(NamedTuple):
    """A place in px from the top left."""

    x: float
    y: float


class Box(NamedTuple):
    """A rectangle in px, by its upper left corner."""

    x: float
    y: float
    width: float
    height: float


class Mark(Enum):
    """A mark of unit radius."""

    DOT = Path.unit_circle()
    CROSS = Path([(-1, -1), (1, 1), (-1, 1), (1, -1)], [Path.MOVETO, Path.LINETO] * 2)
    BAR = Path([(0, -1), (0, 1)], [Path.MOVETO, Path.LINETO])
    WHISKER = Path(
        [(0, -1.3), (0, 1.3), (-0.75, -1.3), (0.75, -1.3), (-0.75, 1.3), (0.75, 1.3)],
        [Path.MOVETO, Path.LINETO] * 3,
    )
    DIAMOND = Path([(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0), (0, -1.3)], closed=True)


@dataclass(frozen=True, slots=True)
class Look:
    """How shapes are filled and outlined; no role, no fill or no line.

    `dashes` are the lengths of stroke and gap, in line widths; a `stripe` runs down the middle of boxes, so
    that they are told apart without colours; `name` becomes the class of the group.
    """

    fill: Role | None = None
    line: Role | None = None
    width_px: float = 1
    dashes: tuple[float, float] | None = None
    stripe: Role | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing to set into a document.

    Attributes
    ----------
    name
        In HTML it has the classes `figure` and `figure-{name}`.
    svg, print_svg
        For HTML, in the colours of the page's scheme, and for print. Neither has an id, a script or a
        reference, so that any number of them stand in one document.
    alt_text
        What it says, with the numbers.
    width_px, height_px
        As drawn; it may be scaled.
    """

    name: str
    svg: str
    print_svg: str
    alt_text: str
    width_px: float
    height_px: float


class _Label(Text):
    """A text at its baseline; matplotlib's own would be laid out, for another program to set it."""

    def draw(self, renderer: RendererBase) -> None:
        context = renderer.new_gc()
        context.set_foreground(self.get_color())
        _, height = renderer.get_canvas_width_height()
        x, y = self.get_transform().transform(self.get_unitless_position())
        font = self.get_fontproperties()
        renderer.draw_text(context, x, height - y, self.get_text(), font, 0, ismath=False, mtext=self)
        context.restore()


class Canvas:
    """A drawing being made; y grows downwards from the upper edge."""

    def __init__(self, height_px: float, width_px: float = WIDTH_PX) -> None:
        self.width_px, self.height_px = width_px, height_px
        size = (width_px / PX_PER_INCH, height_px / PX_PER_INCH)
        self._drawing = Drawing(figsize=size, dpi=PX_PER_INCH, frameon=False)
        self._downwards = Affine2D().scale(1, -1).translate(0, height_px)

    def text(
        self,
        at: Point,
        text: str,
        role: Role = Role.INK,
        *,
        size: Size = LABEL,
        anchor: Anchor = "left",
        bold: bool = False,
    ) -> None:
        """Write a line of text, its baseline at the point; cut by `lettering.fitted` it fits."""
        font, shown = _font(size, bold=bold), drawable(text)
        x, y = np.round(at, DECIMALS)
        if shown:
            self._add(_Label(x, y, shown, color=LIGHT[role], ha=anchor, fontproperties=font))

    def lines(self, lines: Iterable[Sequence[Point]], look: Look) -> None:
        """Draw lines, each through its points."""
        self._draw([Path(line) for line in lines], look)

    def areas(self, areas: Iterable[Sequence[Point]], look: Look) -> None:
        """Draw areas, each within its corners."""
        self._draw([Path([*area, area[0]], closed=True) for area in areas], look)

    def boxes(self, boxes: Iterable[Box], look: Look, *, radius_px: float = 0) -> None:
        """Draw rectangles, with rounded corners."""
        drawn = list(boxes)
        self._draw([_rounded(box, radius_px) for box in drawn], look)
        if look.stripe is not None:
            middles = [(box.x + box.width / 2, box.y, box.y + box.height) for box in drawn]
            stripes = [(Point(x, top), Point(x, bottom)) for x, top, bottom in middles]
            self.lines(stripes, Look(line=look.stripe, width_px=STRIPE_PX, name="stripe"))

    def marks(self, points: Iterable[Point], mark: Mark, radius_px: float, look: Look) -> None:
        """Draw a mark at each point."""
        shape, unit = mark.value, np.asarray(mark.value.vertices, dtype=np.float64)
        paths = [Path(unit * radius_px + np.asarray(point), shape.codes) for point in points]
        self._draw(paths, look)

    def figure(self, name: str, alt_text: str) -> Figure:
        """Return what was drawn."""
        drawn, said = io.StringIO(), drawable(alt_text)
        with _SETTING, mpl.rc_context({"svg.fonttype": "none", "savefig.bbox": None}):
            self._drawing.savefig(drawn, format="svg", metadata={"Date": None})
        markup = drawn.getvalue()
        body = _GROUP.sub(_classed, markup[markup.index("<g ") :]).replace("\n", "")
        plain = _SHAPE_OR_TEXT.sub(_plain, body).replace(MINUS, PRINTED_MINUS)
        printed = self._root(name, said) + printable(plain)
        on_screen = self._root(name, said) + _SHAPE_OR_TEXT.sub(_themed, body)
        return Figure(name, on_screen, printed, said, self.width_px, self.height_px)

    def _root(self, name: str, alt_text: str) -> str:
        width, height = f"{self.width_px:g}", f"{self.height_px:g}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="figure figure-{name}" '
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="{FAMILIES}" stroke-linejoin="round" role="img" aria-label={quoteattr(alt_text)}>'
        )

    def _draw(self, paths: list[Path], look: Look) -> None:
        if not paths:
            return
        path = Path.make_compound_path(*paths)
        path.vertices = np.round(np.asarray(path.vertices, dtype=np.float64), DECIMALS)
        patch = PathPatch(
            path,
            facecolor="none" if look.fill is None else LIGHT[look.fill],
            edgecolor="none" if look.line is None else LIGHT[look.line],
            linewidth=0 if look.line is None else look.width_px,
            linestyle="-" if look.dashes is None else (0, look.dashes),
            gid=look.name or None,
        )
        self._add(patch)

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self._downwards)
        self._drawing.add_artist(artist)


@cache
def _font(size: Size, *, bold: bool) -> FontProperties:
    return FontProperties(family=NANUM, size=size, weight=700 if bold else 400)


def _rounded(box: Box, radius: float) -> Path:
    left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    if not radius:
        return Path([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], closed=True)
    r = min(radius, box.width / 2, box.height / 2)
    corners = [
        (left + r, top), (right - r, top), (right, top), (right, top + r), (right, bottom - r),
        (right, bottom), (right - r, bottom), (left + r, bottom), (left, bottom), (left, bottom - r),
        (left, top + r), (left, top), (left + r, top), (left + r, top),
    ]  # fmt: skip
    return Path(corners, _ROUNDED)


_SIDE = [Path.LINETO, Path.CURVE3, Path.CURVE3]
_ROUNDED = [Path.MOVETO, *_SIDE * 4, Path.CLOSEPOLY]


def _classed(group: re.Match[str]) -> str:
    return f'<g class="{group[2]}">' if group[2] else "<g>"


def _plain(attributes: re.Match[str]) -> str:
    return _UNTURNED.sub("", attributes[0]).replace(_FAMILY_STYLE, "")


def _themed(attributes: re.Match[str]) -> str:
    return themed(_plain(attributes))
