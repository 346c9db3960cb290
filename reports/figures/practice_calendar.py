"""Answers a day over the eight weeks: a field a day, its number in it, darker with more."""

import math
from collections.abc import Sequence

from reports.figures.canvas import Box, Canvas, Figure, Look, Point
from reports.figures.primitives import label, note
from reports.figures.style import HEAT, SMALL, STRONG_HEAT, WIDTH_PX, Role
from reports.model import PracticeDay, WeeklyReport
from reports.texts import Texts

DAYS_OF_WEEK = 7
HEAD_PX = 22
ROW_PX = 28
BASELINE_PX = 18
"""In a row."""
NOTE_PX = 20
WEEK_PX = 58
"""For the week's Monday, on the left."""
TOTAL_PX = 40
"""For the week's sum, on the right."""
GAP_PX = 3
DAY_PX = (WIDTH_PX - WEEK_PX - TOTAL_PX) / DAYS_OF_WEEK
NO_ANSWER = "·"
THOUSANDS_FROM = 10_000
"""Beyond four digits a field shows thousands; the sum beside it is exact."""


def practice_calendar(report: WeeklyReport, texts: Texts) -> Figure | None:
    """Draw the calendar, a week a row; None without an answer in all the weeks."""
    most = max(day.attempts for day in report.days)
    if not most:
        return None
    weeks = [report.days[at : at + DAYS_OF_WEEK] for at in range(0, len(report.days), DAYS_OF_WEEK)]
    canvas = Canvas(HEAD_PX + ROW_PX * len(weeks) + NOTE_PX)
    for at, day in enumerate(weeks[0]):
        middle = Point(WEEK_PX + (at + 0.5) * DAY_PX, 14)
        canvas.text(middle, texts.weekday(day.date), Role.MUTED, size=SMALL, anchor="center")
    label(canvas, Point(WIDTH_PX, 14), texts.gettext("Sum"), role=Role.MUTED, size=SMALL, anchor="right")
    _fields(canvas, report.days, most)
    for at, week in enumerate(weeks):
        _margins(canvas, week, HEAD_PX + at * ROW_PX + BASELINE_PX, texts, bold=week is weeks[-1])
    note(canvas, texts.gettext("Answers a day; %(none)s none", none=NO_ANSWER), canvas.height_px - 5)
    return canvas.figure("practice-calendar", _said(weeks, texts))


def _heat(attempts: int, most: int) -> Role:
    return HEAT[math.ceil(attempts / most * (len(HEAT) - 1))]


def _field(at: int) -> Box:
    row, column = divmod(at, DAYS_OF_WEEK)
    x, y = WEEK_PX + column * DAY_PX, HEAD_PX + row * ROW_PX
    return Box(x + GAP_PX / 2, y + GAP_PX / 2, DAY_PX - GAP_PX, ROW_PX - GAP_PX)


def _fields(canvas: Canvas, days: Sequence[PracticeDay], most: int) -> None:
    heats = [_heat(day.attempts, most) for day in days]
    for level in HEAT:
        boxes = [_field(at) for at, heat in enumerate(heats) if heat is level]
        canvas.boxes(boxes, Look(level, name=level), radius_px=4)
    for at, (day, heat) in enumerate(zip(days, heats, strict=True)):
        field = _field(at)
        middle = Point(field.x + field.width / 2, HEAD_PX + at // DAYS_OF_WEEK * ROW_PX + BASELINE_PX)
        role = Role.ON_STRONG if heat in STRONG_HEAT else Role.ON_WEAK
        canvas.text(middle, _short(day.attempts), role, size=SMALL, anchor="center")


def _short(attempts: int) -> str:
    """Return a number that fits into a field."""
    if not attempts:
        return NO_ANSWER
    return str(attempts) if attempts < THOUSANDS_FROM else f"{attempts // 1000}k"


def _margins(
    canvas: Canvas, week: Sequence[PracticeDay], baseline: float, texts: Texts, *, bold: bool
) -> None:
    """Write the week's Monday and its sum; the report's own week in bold."""
    role = Role.INK if bold else Role.MUTED
    monday, total = texts.day_month(week[0].date), texts.number(_total(week), 0)
    label(canvas, Point(0, baseline), monday, width_px=WEEK_PX, role=role, size=SMALL, bold=bold)
    at = Point(WIDTH_PX, baseline)
    label(canvas, at, total, width_px=TOTAL_PX, role=role, size=SMALL, anchor="right", bold=bold)


def _total(week: Sequence[PracticeDay]) -> int:
    return sum(day.attempts for day in week)


def _said(weeks: Sequence[Sequence[PracticeDay]], texts: Texts) -> str:
    days = [day for week in weeks for day in week]
    head = texts.gettext(
        "Practice over %(weeks)s weeks: %(answers)s on %(days)s.",
        weeks=texts.number(len(weeks), 0),
        answers=texts.ngettext("%(n)s answer", "%(n)s answers", _total(days)),
        days=texts.ngettext("%(n)s day", "%(n)s days", sum(day.attempts > 0 for day in days)),
    )
    return " ".join([head, *(_said_week(week, texts) for week in weeks)])


def _said_week(week: Sequence[PracticeDay], texts: Texts) -> str:
    practised = [f"{texts.weekday(d.date)} {texts.number(d.attempts, 0)}" for d in week if d.attempts]
    return texts.gettext(
        "Week of %(monday)s: %(days)s.",
        monday=texts.day_month(week[0].date),
        days=", ".join(practised) or texts.gettext("none"),
    )
