"""θ at the end of each of the last eight weeks, with ±1 SE."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from reports.figures.canvas import Box, Canvas, Figure, Look, Mark, Point
from reports.figures.primitives import LINE_PX, MARK_PX, Key, across, heading, intervals, legend, legend_lines
from reports.figures.scales import Scale, decimals, spanning
from reports.figures.style import WIDTH_PX, Role
from reports.figures.weeks import draw_weeks, last_weeks, week_scale
from reports.model import WEEKS, AbilitySource, TrendPoint, WeeklyReport
from reports.texts import Texts

AREA = Box(34, 32, WIDTH_PX - 34, 140)
WEEK_LABELS_PX = 28
LEAST_SPAN = 1.0
"""Logits that the axis spans at least; chance would look like progress on a shorter one."""
MOST_TICKS = 6

_RIBBON = Look(Role.MAIN_TINT, name="ribbon")
_EDGES = Look(line=Role.MAIN, width_px=0.75, name="ribbon-edges")
_ERROR_BARS = Look(line=Role.MAIN, name="error-bars")
_TREND = Look(line=Role.MAIN, width_px=2, name="trend")
_STORED = Look(Role.MAIN, Role.SURFACE, 1.5, name="stored")
_RECOMPUTED = Look(Role.SURFACE, Role.MAIN, 1.75, name="recomputed")


@dataclass(frozen=True, slots=True)
class _Week:
    """A week's θ, by the week's number from 0."""

    at: int
    point: TrendPoint

    @property
    def low(self) -> float:
        return self.point.theta - (self.point.se or 0.0)

    @property
    def high(self) -> float:
        return self.point.theta + (self.point.se or 0.0)


def theta_trend(report: WeeklyReport, texts: Texts) -> Figure | None:
    """Draw the trend, broken where a week has no θ; None without a θ in all the weeks."""
    weeks = last_weeks(report.week_start)
    at = {week: number for number, week in enumerate(weeks)}
    trend = [_Week(at[p.week_start], p) for p in report.ability_trend.points if p.week_start in at]
    if not trend:
        return None
    runs = list(_runs(trend))
    keys = legend_lines(_keys(trend, runs, texts))
    canvas = Canvas(AREA.y + AREA.height + WEEK_LABELS_PX + LINE_PX * len(keys))
    heading(canvas, texts.gettext("Ability θ (logits)"), _newest(trend[-1].point, texts))
    values = [value for week in trend for value in (week.low, week.high)]
    theta, ticks = spanning(values, AREA.y + AREA.height, AREA.y, most=MOST_TICKS, at_least=LEAST_SPAN)
    across(canvas, theta, [(value, texts.number(value, decimals(ticks))) for value in ticks], AREA)
    for run in runs:
        _ribbon(canvas, run, theta)
    _points(canvas, trend, theta)
    draw_weeks(canvas, AREA, weeks, texts)
    legend(canvas, keys, AREA.y + AREA.height + WEEK_LABELS_PX + 12)
    return canvas.figure("theta-trend", _said(report, trend, texts))


def _runs(trend: Sequence[_Week]) -> Iterator[list[_Week]]:
    """Yield stretches of weeks one after the other; a week without θ ends one."""
    run: list[_Week] = []
    for week in trend:
        if run and week.at != run[-1].at + 1:
            yield run
            run = []
        run.append(week)
    yield run


def _ribbon(canvas: Canvas, run: Sequence[_Week], theta: Scale) -> None:
    """Draw a stretch: the band of ±1 SE between weeks that both have one, its edges, the line."""
    x = week_scale(AREA)
    known = _banded(run)
    high = [(Point(x(a.at), theta(a.high)), Point(x(b.at), theta(b.high))) for a, b in known]
    low = [(Point(x(a.at), theta(a.low)), Point(x(b.at), theta(b.low))) for a, b in known]
    canvas.areas([(*upper, *reversed(lower)) for upper, lower in zip(high, low, strict=True)], _RIBBON)
    canvas.lines([*high, *low], _EDGES)
    if len(run) > 1:
        canvas.lines([[Point(x(week.at), theta(week.point.theta)) for week in run]], _TREND)


def _banded(run: Sequence[_Week]) -> list[tuple[_Week, _Week]]:
    """Return the neighbours between which there is a band."""
    return [(a, b) for a, b in pairwise(run) if a.point.se is not None and b.point.se is not None]


def _points(canvas: Canvas, trend: Sequence[_Week], theta: Scale) -> None:
    x = week_scale(AREA)
    measured = [week for week in trend if week.point.se is not None]
    spans = [(Point(x(w.at), theta(w.low)), Point(x(w.at), theta(w.high))) for w in measured]
    intervals(canvas, spans, _ERROR_BARS)
    for look, recomputed in ((_STORED, False), (_RECOMPUTED, True)):
        chosen = [w for w in trend if (w.point.source is AbilitySource.ANSWERS) is recomputed]
        points = [Point(x(w.at), theta(w.point.theta)) for w in chosen]
        canvas.marks(points, Mark.DOT, MARK_PX, look)


def _keys(trend: Sequence[_Week], runs: Sequence[Sequence[_Week]], texts: Texts) -> list[Key]:
    """Return the keys of what is drawn, and of nothing else."""
    keys = []
    if any(week.point.source is not AbilitySource.ANSWERS for week in trend):
        keys.append(Key(texts.gettext("θ at the end of the week"), _STORED, Mark.DOT))
    if any(week.point.source is AbilitySource.ANSWERS for week in trend):
        keys.append(Key(texts.gettext("estimated later from the answers of then"), _RECOMPUTED, Mark.DOT))
    if any(map(_banded, runs)):
        keys.append(Key(texts.gettext("±1 SE"), replace(_RIBBON, line=Role.MAIN, width_px=0.75)))
    elif any(week.point.se is not None for week in trend):
        keys.append(Key(texts.gettext("±1 SE"), _ERROR_BARS, Mark.WHISKER))
    return keys


def _with_se(point: TrendPoint, texts: Texts) -> str:
    theta = texts.number(point.theta)
    return theta if point.se is None else f"{theta} ± {texts.number(point.se)}"


def _newest(point: TrendPoint, texts: Texts) -> str:
    return f"{texts.day_month(point.week_start)}: {_with_se(point, texts)}"


def _said(report: WeeklyReport, trend: Sequence[_Week], texts: Texts) -> str:
    weeks = "; ".join(_newest(week.point, texts) for week in trend)
    said = [texts.gettext("Ability θ ± SE by week, named by its Monday: %(weeks)s.", weeks=weeks)]
    if missing := WEEKS - len(trend):
        said.append(texts.ngettext("%(n)s week has no θ.", "%(n)s weeks have no θ.", missing))
    if report.ability_trend.rescaled_from is not None:
        said.append(texts.gettext("The scale changed within these weeks; all values are on the new one."))
    return " ".join(said)
