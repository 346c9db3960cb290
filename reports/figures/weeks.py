"""The horizontal axis of the last eight weeks."""

import datetime as dt
from collections.abc import Sequence

from reports.figures.canvas import Box, Canvas, Point
from reports.figures.primitives import AXIS, below
from reports.figures.scales import Scale
from reports.model import WEEKS
from reports.texts import Texts

WEEK = dt.timedelta(weeks=1)
_LABELLED_EVERY = 2
"""Weeks; the names of all would touch each other."""


def last_weeks(week_start: dt.date) -> tuple[dt.date, ...]:
    """Return the Mondays of the weeks that a report looks back on, its own last."""
    return tuple(week_start - WEEK * back for back in reversed(range(WEEKS)))


def week_scale(area: Box) -> Scale:
    """Return where the weeks, by their number from 0, lie in the area."""
    margin = area.width / WEEKS / 2
    return Scale(0, WEEKS - 1, area.x + margin, area.x + area.width - margin)


def draw_weeks(canvas: Canvas, area: Box, weeks: Sequence[dt.date], texts: Texts) -> None:
    """Draw the axis below the area, with the Mondays of every other week, the last among them."""
    bottom, scale = area.y + area.height, week_scale(area)
    canvas.lines([(Point(area.x, bottom), Point(area.x + area.width, bottom))], AXIS)
    named = [(at, week) for at, week in enumerate(weeks) if (len(weeks) - 1 - at) % _LABELLED_EVERY == 0]
    canvas.lines([(Point(scale(at), bottom), Point(scale(at), bottom + 4)) for at, _ in named], AXIS)
    below(canvas, [(scale(at), texts.day_month(week)) for at, week in named], bottom + 17)
