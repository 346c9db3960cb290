"""Figures of the item bank as a whole: the curves of all items, and difficulties old against new."""

from collections.abc import Sequence

import numpy as np

from reports.figures.canvas import Box, Canvas, Figure, Look, Mark, Point
from reports.figures.curves import THETA, THETA_TICKS
from reports.figures.primitives import (
    AXIS,
    LINE_PX,
    Key,
    across,
    below,
    heading,
    intervals,
    label,
    legend,
    legend_lines,
)
from reports.figures.scales import Scale, decimals, spanning
from reports.figures.style import SMALL, WIDTH_PX, Role
from reports.operator_pages.bank_review import Compared
from reports.texts import Texts
from seedtest.irt import ItemParameters, information, probability
from seedtest.irt.parameters import FloatArray

LEFT_PX = 42
TOP_PX = 28
PANEL_PX = 150
AXIS_PX = 26
"""Room for the values below an axis."""
RIGHT_PX = 8
MOST_TICKS = 6
MOST_LINES = 30
"""So many items or fewer are a line each; more are bands."""
MOST_FLAGGED = 12
"""Flagged items that get a line of their own, the most serious first."""
MOST_ERRORS = 40
"""So many points or fewer carry their standard error; more would cover each other."""
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)

_WIDE = Look(Role.MAIN_TINT, name="nine-of-ten")
_HALF = Look(Role.HEAT_2, name="middle-half")
_MEDIAN = Look(line=Role.MAIN, width_px=2, name="median")
_ITEMS = Look(line=Role.MAIN, width_px=1, name="items")
_FLAGGED = Look(line=Role.CONTRAST, width_px=1.25, name="flagged")
_EVEN = Look(line=Role.AXIS, width_px=1, dashes=(4, 3), name="no-change")
_KEPT = Look(Role.MAIN, Role.SURFACE, 0.75, name="kept")
_NOT_KEPT = Look(line=Role.CONTRAST, width_px=2, name="not-kept")
_ERRORS = Look(line=Role.AXIS, width_px=1, name="errors")


def characteristic_curves(items: ItemParameters, flagged: Sequence[int], texts: Texts) -> Figure:
    """Draw P(correct | θ) of all items, those flagged highlighted."""
    curves = probability(items, THETA)
    said = (
        f"Probability of a right answer over θ of {texts.number(len(items), 0)} items: at θ 0 half of them "
        f"lie between {_middle(curves, texts)}. {_drawn(flagged)}"
    )
    return _curves("characteristic-curves", "P(correct | θ)", curves, flagged, said, texts)


def information_curves(items: ItemParameters, flagged: Sequence[int], texts: Texts) -> Figure:
    """Draw the information of all items over θ, those flagged highlighted."""
    curves = information(items, THETA)
    said = (
        f"Information over θ of {texts.number(len(items), 0)} items: at θ 0 half of them lie between "
        f"{_middle(curves, texts)}. {_drawn(flagged)}"
    )
    return _curves("information-curves", "Information (1/logits²)", curves, flagged, said, texts)


def _middle(curves: FloatArray, texts: Texts) -> str:
    low, high = np.quantile(curves[:, len(THETA) // 2], (0.25, 0.75)).tolist()
    return f"{texts.number(low)} and {texts.number(high)}"


def _drawn(flagged: Sequence[int]) -> str:
    return f"{min(len(flagged), MOST_FLAGGED)} flagged items are drawn as lines of their own."


def _curves(
    name: str, title: str, curves: FloatArray, flagged: Sequence[int], said: str, texts: Texts
) -> Figure:
    few, shown = len(curves) <= MOST_LINES, list(flagged[:MOST_FLAGGED])
    keys = [Key("an item", _swatch(_ITEMS))] if few else [
        Key("middle half", _HALF), Key("nine of ten", _WIDE), Key("median", _swatch(_MEDIAN)),
    ]  # fmt: skip
    keys += [Key("flagged", _swatch(_FLAGGED))] if shown else []
    lines = legend_lines(keys)
    canvas = Canvas(TOP_PX + PANEL_PX + AXIS_PX + len(lines) * LINE_PX)
    heading(canvas, title, f"{texts.number(len(curves), 0)} items")
    bottom = TOP_PX + PANEL_PX
    drawn = np.quantile(curves, SHARES, axis=0)
    highest = float(max(curves.max() if few else drawn.max(), curves[shown].max(initial=0)))
    up, marked = spanning([0, highest], bottom, TOP_PX, most=MOST_TICKS)
    across(canvas, up, _valued(marked, texts), Box(LEFT_PX, TOP_PX, WIDTH_PX - LEFT_PX, PANEL_PX))
    if few:
        _lines(canvas, curves, up, _ITEMS)
    else:
        _area(canvas, drawn[0], drawn[4], up, _WIDE)
        _area(canvas, drawn[1], drawn[3], up, _HALF)
        _lines(canvas, drawn[2:3], up, _MEDIAN)
    _lines(canvas, curves[shown], up, _FLAGGED)
    canvas.lines([(Point(LEFT_PX, bottom), Point(WIDTH_PX, bottom))], AXIS)
    theta = _theta()
    below(canvas, [(theta(at), f"θ {texts.number(at, 0)}") for at in THETA_TICKS], bottom + 16)
    legend(canvas, lines, bottom + AXIS_PX + 12)
    return canvas.figure(name, said)


def _theta() -> Scale:
    return Scale(THETA[0], THETA[-1], LEFT_PX, WIDTH_PX - RIGHT_PX)


def _swatch(look: Look) -> Look:
    """Return how a line looks in a legend's box."""
    return Look(look.line, name=look.name)


def _valued(marked: Sequence[float], texts: Texts) -> list[tuple[float, str]]:
    return [(at, texts.number(at, decimals(marked))) for at in marked]


def _points(values: FloatArray, up: Scale) -> list[Point]:
    theta = _theta()
    return [Point(theta(x), up(y)) for x, y in zip(THETA.tolist(), values.tolist(), strict=True)]


def _lines(canvas: Canvas, curves: FloatArray, up: Scale, look: Look) -> None:
    canvas.lines([_points(curve, up) for curve in curves], look)


def _area(canvas: Canvas, low: FloatArray, high: FloatArray, up: Scale, look: Look) -> None:
    canvas.areas([[*_points(low, up), *reversed(_points(high, up))]], look)


def old_against_new(compared: Compared, texts: Texts) -> Figure:
    """Draw difficulties of the fit in force over those of the reference, with the line of no change."""
    old, new = compared.reference.b, compared.now.b
    kept = np.array([item_id in compared.used for item_id in compared.now.item_ids])
    keys = [Key("carries the linking", _KEPT, Mark.DOT)]
    keys += [] if kept.all() else [Key("does not", _NOT_KEPT, Mark.CROSS)]
    lines = legend_lines(keys)
    side = WIDTH_PX - LEFT_PX - RIGHT_PX
    canvas = Canvas(TOP_PX + side + AXIS_PX + LINE_PX * (1 + len(lines)))
    heading(canvas, "Difficulty b in this fit (logits)", f"{texts.number(len(kept), 0)} items")
    bottom = TOP_PX + side
    up, marked = spanning([*old, *new], bottom, TOP_PX, most=MOST_TICKS)
    along = Scale(up.low, up.high, LEFT_PX, LEFT_PX + side)
    across(canvas, up, _valued(marked, texts), Box(LEFT_PX, TOP_PX, side, side))
    canvas.lines([(Point(along(up.low), up(up.low)), Point(along(up.high), up(up.high)))], _EVEN)
    if len(kept) <= MOST_ERRORS:
        errors = zip(old.tolist(), new.tolist(), np.nan_to_num(compared.now.se_b).tolist(), strict=True)
        intervals(
            canvas,
            [(Point(along(x), up(y - se)), Point(along(x), up(y + se))) for x, y, se in errors],
            _ERRORS,
        )
    points = np.array([Point(along(x), up(y)) for x, y in zip(old.tolist(), new.tolist(), strict=True)])
    radius = 4.0 if len(kept) <= MOST_ERRORS else 2.5
    canvas.marks([Point(*at) for at in points[kept].tolist()], Mark.DOT, radius, _KEPT)
    canvas.marks([Point(*at) for at in points[~kept].tolist()], Mark.CROSS, radius, _NOT_KEPT)
    below(canvas, [(along(at), text) for at, text in _valued(marked, texts)], bottom + 16)
    reference = "as the anchors have it" if compared.is_anchors else "in the fit before"
    label(
        canvas,
        Point(LEFT_PX, bottom + 16 + LINE_PX),
        f"Difficulty b {reference} (logits)",
        role=Role.MUTED,
        size=SMALL,
    )
    legend(canvas, lines, bottom + AXIS_PX + LINE_PX + 12)
    largest = int(np.argmax(np.abs(new - old)))
    said = (
        f"Difficulty of {texts.number(len(kept), 0)} items in this fit against that {reference}: "
        f"{texts.number(int(kept.sum()), 0)} carry the linking. The largest change is "
        f"{texts.number(float(new[largest] - old[largest]), signed=True)} logits, "
        f"of {compared.now.item_ids[largest]}."
    )
    return canvas.figure("old-against-new", said)
