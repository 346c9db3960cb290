"""Response times of right answers by week: the median, and between which times half of them lie."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.figures.canvas import Box, Canvas, Figure, Look, Mark, Point
from reports.figures.primitives import LINE_PX, MARK_PX, Key, across, heading, legend, legend_lines
from reports.figures.scales import Scale, decimals, spanning
from reports.figures.style import WIDTH_PX, Role
from reports.figures.weeks import draw_weeks, last_weeks, week_scale
from reports.model import WeeklyReport, WeekResponseTime
from reports.texts import Texts

AREA = Box(42, 30, WIDTH_PX - 42, 118)
WEEK_LABELS_PX = 28
BOX_PX = 16
MOST_TICKS = 5
LEAST_SPAN_SECS = 4.0

_HALF = Look(Role.MAIN_TINT, Role.MAIN, 1, name="middle-half")
_MEDIAN = Look(Role.MAIN, Role.SURFACE, 1.5, name="median")
_TREND = Look(line=Role.MAIN, width_px=1.5, name="trend")


@dataclass(frozen=True, slots=True)
class _Week:
    """The times of a week, in seconds, by the week's number from 0."""

    at: int
    week: WeekResponseTime
    median_secs: float
    low_secs: float
    high_secs: float


def response_times(report: WeeklyReport, texts: Texts) -> Figure | None:
    """Draw the weeks' response times; None without a known time in all the weeks."""
    weeks = list(_known(report.response_times))
    if not weeks:
        return None
    keys = legend_lines(
        [
            Key(texts.gettext("median"), _MEDIAN, Mark.DOT),
            Key(texts.gettext("middle half of the answers"), _HALF),
        ]
    )
    canvas = Canvas(AREA.y + AREA.height + WEEK_LABELS_PX + LINE_PX * len(keys))
    newest = weeks[-1]
    shown = f"{texts.day_month(newest.week.week_start)}: {texts.seconds(newest.median_secs * 1000)}"
    heading(canvas, texts.gettext("Seconds for a right answer"), shown)
    secs, ticks = spanning(
        [0, LEAST_SPAN_SECS, *(week.high_secs for week in weeks)],
        AREA.y + AREA.height,
        AREA.y,
        most=MOST_TICKS,
    )
    across(canvas, secs, [(at, texts.number(at, decimals(ticks))) for at in ticks], AREA)
    _draw(canvas, weeks, secs)
    draw_weeks(canvas, AREA, last_weeks(report.week_start), texts)
    legend(canvas, keys, AREA.y + AREA.height + WEEK_LABELS_PX + 12)
    return canvas.figure("response-times", _said(weeks, texts))


def _known(weeks: Sequence[WeekResponseTime]) -> Iterator[_Week]:
    for at, week in enumerate(weeks):
        if week.median_ms is not None:
            low = week.median_ms if week.q1_ms is None else week.q1_ms
            high = week.median_ms if week.q3_ms is None else week.q3_ms
            yield _Week(at, week, week.median_ms / 1000, low / 1000, high / 1000)


def _draw(canvas: Canvas, weeks: Sequence[_Week], secs: Scale) -> None:
    x = week_scale(AREA)
    halves = [
        Box(x(w.at) - BOX_PX / 2, secs(w.high_secs), BOX_PX, secs(w.low_secs) - secs(w.high_secs))
        for w in weeks
    ]
    canvas.boxes(halves, _HALF, radius_px=2)
    medians = {week.at: Point(x(week.at), secs(week.median_secs)) for week in weeks}
    # Weeks without answers are left open, not bridged.
    steps = [(medians[at], medians[at + 1]) for at in medians if at + 1 in medians]
    canvas.lines(steps, _TREND)
    canvas.marks(medians.values(), Mark.DOT, MARK_PX, _MEDIAN)


def _said(weeks: Sequence[_Week], texts: Texts) -> str:
    said = [
        texts.gettext(
            "%(week)s: median %(median)s, middle half %(low)s to %(high)s, %(answers)s",
            week=texts.day_month(week.week.week_start),
            median=texts.seconds(week.median_secs * 1000),
            low=texts.seconds(week.low_secs * 1000),
            high=texts.seconds(week.high_secs * 1000),
            answers=texts.ngettext("%(n)s answer", "%(n)s answers", week.week.n),
        )
        for week in weeks
    ]
    return texts.gettext("Response times of right answers by week: %(weeks)s.", weeks="; ".join(said))
