"""How values are distributed over a cohort or an item bank."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.figures.canvas import Box, Canvas, Figure, Look, Point
from reports.figures.primitives import AXIS, DESCENT_PX, LINE_PX, across, below, heading, note
from reports.figures.scales import Scale, decimals, spanning, ticks
from reports.figures.style import WIDTH_PX, Role
from reports.texts import Texts
from seedtest.irt.parameters import FloatArray

AREA = Box(42, 28, WIDTH_PX - 42, 120)
VALUES_PX = 24
"""Room for the values below the axis."""
MOST_BINS = 30
MOST_TICKS = 7
MOST_COUNTS = 5
LEAST_SPAN = 0.1
"""All values may be one."""
GAP_PX = 1.5

_BARS = Look(Role.MAIN, name="bars")
_MIDDLE_HALF = Look(Role.MAIN_TINT, name="middle-half")
_MEDIAN = Look(line=Role.CONTRAST, width_px=2, dashes=(3, 2), name="median")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values of many learners or items; `name` is the figure's, `n_missing` have none."""

    name: str
    title: str
    values: FloatArray
    n_missing: int = 0


def histogram(distribution: Distribution, texts: Texts) -> Figure | None:
    """Draw how many values lie where, with median and middle half (a band); None without a value."""
    values = distribution.values
    if not len(values):
        return None
    edges = _edges(values)
    counts = np.histogram(values, edges)[0]
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    canvas = Canvas(AREA.y + AREA.height + VALUES_PX + LINE_PX)
    median = texts.gettext("median %(value)s", value=texts.number(middle))
    heading(canvas, distribution.title, median)
    scale = Scale(edges[0], edges[-1], AREA.x, AREA.x + AREA.width)
    canvas.boxes([Box(scale(low), AREA.y, scale(high) - scale(low), AREA.height)], _MIDDLE_HALF)
    _draw(canvas, counts.tolist(), edges, scale, texts)
    canvas.lines([(Point(scale(middle), AREA.y), Point(scale(middle), AREA.y + AREA.height))], _MEDIAN)
    _values(canvas, edges, scale, texts)
    known = texts.ngettext("%(n)s value", "%(n)s values", len(values))
    if distribution.n_missing:
        missing = texts.number(distribution.n_missing, 0)
        known = texts.gettext("%(known)s, %(missing)s without one", known=known, missing=missing)
    note(canvas, known, canvas.height_px - DESCENT_PX)
    said = texts.gettext(
        "%(title)s: %(known)s; %(median)s, middle half %(low)s to %(high)s, all %(least)s to %(largest)s.",
        title=distribution.title,
        known=known,
        median=median,
        low=texts.number(low),
        high=texts.number(high),
        least=texts.number(float(values.min())),
        largest=texts.number(float(values.max())),
    )
    return canvas.figure(distribution.name, said)


def _edges(values: FloatArray) -> Sequence[float]:
    """Round edges of bins, by Rice's rule; rules that look at the spread draw a million for one far value."""
    bins = int(np.clip(2 * np.cbrt(len(values)), 5, MOST_BINS))
    low, high = float(values.min()), float(values.max())
    lacking = max(LEAST_SPAN - (high - low), 0) / 2
    return ticks(low - lacking, high + lacking, bins + 1)


def _draw(canvas: Canvas, counts: Sequence[int], edges: Sequence[float], scale: Scale, texts: Texts) -> None:
    bottom = AREA.y + AREA.height
    up, marked = spanning([0, max(counts), 1], bottom, AREA.y, most=MOST_COUNTS)
    whole = [at for at in marked if at == round(at)]
    across(canvas, up, [(at, texts.number(at, 0)) for at in whole], AREA)
    boxes = [
        Box(scale(left) + GAP_PX / 2, up(n), scale(right) - scale(left) - GAP_PX, bottom - up(n))
        for n, left, right in zip(counts, edges, edges[1:], strict=False)
        if n
    ]
    canvas.boxes(boxes, _BARS)
    canvas.lines([(Point(AREA.x, bottom), Point(AREA.x + AREA.width, bottom))], AXIS)


def _values(canvas: Canvas, edges: Sequence[float], scale: Scale, texts: Texts) -> None:
    bottom = AREA.y + AREA.height
    marked = [at for at in ticks(edges[0], edges[-1], MOST_TICKS) if scale.holds(at)]
    places = decimals(marked)
    canvas.lines([(Point(scale(at), bottom), Point(scale(at), bottom + 4)) for at in marked], AXIS)
    below(canvas, [(scale(at), texts.number(at, places)) for at in marked], bottom + 16)
