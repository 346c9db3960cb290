"""Parts that several figures share: headings, axes, intervals, legends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from reports.figures.canvas import Anchor, Box, Canvas, Look, Mark, Point
from reports.figures.lettering import fitted, text_width
from reports.figures.scales import Scale
from reports.figures.style import LABEL, SMALL, WIDTH_PX, Role, Size

LINE_PX = 17
"""From one line of small text to the next."""
GAP_PX = 14
"""Between the keys of a legend."""
MARK_PX = 4
CAP_PX = 3
SWATCH_PX = 14
DESCENT_PX = 4
"""What text of the small size needs below its baseline, or above to stand in the middle of a line."""

GRID = Look(line=Role.GRID, name="grid")
AXIS = Look(line=Role.AXIS, name="axis")


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend: a mark in its look, or a swatch, and what it stands for."""

    text: str
    look: Look
    mark: Mark | None = None


def label(
    canvas: Canvas,
    at: Point,
    text: str,
    *,
    width_px: float | None = None,
    role: Role = Role.INK,
    size: Size = LABEL,
    anchor: Anchor = "left",
    bold: bool = False,
) -> float:
    """Write text, cut to the width (by default the drawing's), and return how wide it came out."""
    shown = fitted(text, canvas.width_px if width_px is None else width_px, size, bold=bold)
    canvas.text(at, shown, role, size=size, anchor=anchor, bold=bold)
    return text_width(shown, size, bold=bold)


def heading(canvas: Canvas, left: str, right: str, baseline_px: float = 14) -> None:
    """Write what is measured on the left and the newest value, which is whole, on the right."""
    room = canvas.width_px - text_width(right, LABEL, bold=True) - GAP_PX
    label(canvas, Point(0, baseline_px), left, width_px=room, role=Role.MUTED, size=SMALL)
    label(canvas, Point(canvas.width_px, baseline_px), right, anchor="right", bold=True)


def legend_lines(keys: Sequence[Key], width_px: float = WIDTH_PX) -> tuple[tuple[Key, ...], ...]:
    """Return the keys of each line of a legend that is so wide."""
    lines: list[list[Key]] = [[]]
    for key in keys:
        if lines[-1] and sum(map(_key_width, (*lines[-1], key))) - GAP_PX > width_px:
            lines.append([])
        lines[-1].append(key)
    return tuple(map(tuple, lines))


def legend(canvas: Canvas, lines: Sequence[Sequence[Key]], baseline_px: float, *, left_px: float = 0) -> None:
    """Write a legend, the baseline of its first line given."""
    for at, line in enumerate(lines):
        x, y = left_px, baseline_px + at * LINE_PX
        for key in line:
            _key(canvas, key, Point(x, y))
            x += _key_width(key)


def _key(canvas: Canvas, key: Key, at: Point) -> None:
    middle, look = at.y - DESCENT_PX, replace(key.look, name="key")
    if key.mark is None:
        canvas.boxes([Box(at.x, middle - 5, SWATCH_PX, 10)], look)
    else:
        canvas.marks([Point(at.x + SWATCH_PX / 2, middle)], key.mark, MARK_PX, look)
    room = canvas.width_px - at.x - SWATCH_PX - 5
    label(canvas, Point(at.x + SWATCH_PX + 5, at.y), key.text, width_px=room, role=Role.MUTED, size=SMALL)


def _key_width(key: Key) -> float:
    return SWATCH_PX + 5 + text_width(key.text, SMALL) + GAP_PX


def across(canvas: Canvas, scale: Scale, ticks: Sequence[tuple[float, str]], area: Box) -> None:
    """Draw a vertical axis: a line across the area at each value, which is written on its left."""
    canvas.lines(
        [(Point(area.x, scale(value)), Point(area.x + area.width, scale(value))) for value, _ in ticks], GRID
    )
    for value, text in ticks:
        at = Point(area.x - 6, scale(value) + DESCENT_PX)
        canvas.text(at, text, Role.MUTED, size=SMALL, anchor="right")


def below(canvas: Canvas, places: Iterable[tuple[float, str]], baseline_px: float) -> None:
    """Write the values of a horizontal axis, each by its place in px; one without room stays within."""
    for x, text in places:
        half = text_width(text, SMALL) / 2
        inside = min(max(x, half), canvas.width_px - half)
        canvas.text(Point(inside, baseline_px), text, Role.MUTED, size=SMALL, anchor="center")


def intervals(canvas: Canvas, spans: Iterable[tuple[Point, Point]], look: Look) -> None:
    """Draw error bars, upright or lying, with a cap at both ends."""
    strokes: list[tuple[Point, Point]] = []
    for low, high in spans:
        dx, dy = (0, CAP_PX) if low.y == high.y else (CAP_PX, 0)
        caps = [(Point(end.x - dx, end.y - dy), Point(end.x + dx, end.y + dy)) for end in (low, high)]
        strokes += [(low, high), *caps]
    canvas.lines(strokes, look)


def note(canvas: Canvas, text: str, baseline_px: float) -> None:
    """Write a line of small print across the drawing."""
    label(canvas, Point(0, baseline_px), text, role=Role.MUTED, size=SMALL)
