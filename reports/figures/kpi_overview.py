"""The six KPIs, each on its own range, with last week's for comparison."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.figures.canvas import Box, Canvas, Figure, Look, Mark, Point
from reports.figures.lettering import text_width
from reports.figures.primitives import DESCENT_PX, GAP_PX, Key, label, legend
from reports.figures.scales import Scale
from reports.figures.style import LABEL, SMALL, WIDTH_PX, Role
from reports.model import KPI_NAMES, WeeklyReport
from reports.texts import Texts

ROW_PX = 46
LEGEND_PX = 22
HINT_GAP_PX = 8
TRACK = Box(26, 27, WIDTH_PX - 52, 8)
"""In a row; the ends of the range stand beside it."""
RANGES = {name: (-1.0 if name == "I_t" else 0.0, 1.0) for name in KPI_NAMES}
"""Domain §3."""
LOWER_IS_BETTER = frozenset({"S"})

_TRACK = Look(Role.GRID, name="range")
_UNKNOWN = Look(line=Role.AXIS, dashes=(3, 3), name="unknown")
_ZERO = Look(line=Role.AXIS)
_BAR = Look(Role.MAIN, name="value")
_NOW = Look(Role.MAIN, Role.SURFACE, 1.5, name="this-week")
_BEFORE = Look(Role.SURFACE, Role.MUTED, 1.5, name="last-week")


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    now: float | None
    before: float | None
    top_px: float

    @property
    def scale(self) -> Scale:
        return Scale(*RANGES[self.name], TRACK.x, TRACK.x + TRACK.width)

    @property
    def middle_px(self) -> float:
        return self.top_px + TRACK.y + TRACK.height / 2


def kpi_overview(report: WeeklyReport, texts: Texts) -> Figure:
    """Draw the KPIs; one that is not known has an empty range and says so."""
    now, before = report.kpis, report.last_week_kpis
    rows = [
        _Row(name, getattr(now, name), getattr(before, name), at * ROW_PX)
        for at, name in enumerate(KPI_NAMES)
    ]
    keys = _keys(rows, texts)
    canvas = Canvas(ROW_PX * len(KPI_NAMES) + (LEGEND_PX if keys else 0))
    for row in rows:
        _head(canvas, row, texts)
        _draw(canvas, row, texts)
    legend(canvas, [keys], canvas.height_px - 6)
    said = texts.gettext("The six key metrics of the week.")
    return canvas.figure("kpi-overview", " ".join([said, *(_said(row, texts) for row in rows)]))


def _keys(rows: Sequence[_Row], texts: Texts) -> list[Key]:
    """Return the keys of what is drawn, and of nothing else."""
    keys = []
    if any(row.now is not None for row in rows):
        keys.append(Key(texts.gettext("this week"), _NOW, Mark.DOT))
    if any(row.before is not None for row in rows):
        keys.append(Key(texts.gettext("last week"), _BEFORE, Mark.DIAMOND))
    return keys


def _head(canvas: Canvas, row: _Row, texts: Texts) -> None:
    value, baseline = texts.kpi_value(row.now), row.top_px + 16
    room = WIDTH_PX - text_width(value, LABEL, bold=True) - GAP_PX
    taken = label(canvas, Point(0, baseline), texts.kpi_name(row.name), width_px=room) + HINT_GAP_PX
    if row.name in LOWER_IS_BETTER:
        hint = texts.gettext("lower is better")
        label(canvas, Point(taken, baseline), hint, width_px=room - taken, role=Role.MUTED, size=SMALL)
    role = Role.MUTED if row.now is None else Role.INK
    label(canvas, Point(WIDTH_PX, baseline), value, role=role, anchor="right", bold=True)


def _draw(canvas: Canvas, row: _Row, texts: Texts) -> None:
    scale, track = row.scale, TRACK._replace(y=row.top_px + TRACK.y)
    _ends(canvas, row, texts)
    canvas.boxes([track], _TRACK if row.now is not None else _UNKNOWN, radius_px=4)
    if row.now is not None:
        left, right = sorted((scale(0), scale(row.now)))
        canvas.boxes([track._replace(x=left, width=right - left)], _BAR)
    if scale.low < 0:
        canvas.lines([(Point(scale(0), track.y - 4), Point(scale(0), track.y + 12))], _ZERO)
    if row.before is not None:
        canvas.marks([Point(scale(row.before), row.middle_px)], Mark.DIAMOND, 5, _BEFORE)
    if row.now is not None:
        canvas.marks([Point(scale(row.now), row.middle_px)], Mark.DOT, 6, _NOW)


def _ends(canvas: Canvas, row: _Row, texts: Texts) -> None:
    baseline, right = row.middle_px + DESCENT_PX, TRACK.x + TRACK.width
    low, high = texts.number(row.scale.low, 0), texts.number(row.scale.high, 0)
    canvas.text(Point(TRACK.x - 8, baseline), low, Role.MUTED, size=SMALL, anchor="right")
    canvas.text(Point(right + 8, baseline), high, Role.MUTED, size=SMALL)


def _said(row: _Row, texts: Texts) -> str:
    return texts.gettext(
        "%(name)s: %(now)s (last week %(before)s, on a range from %(low)s to %(high)s).",
        name=texts.kpi_name(row.name),
        now=texts.kpi_value(row.now),
        before=texts.kpi_value(row.before),
        low=texts.number(row.scale.low, 0),
        high=texts.number(row.scale.high, 0),
    )
