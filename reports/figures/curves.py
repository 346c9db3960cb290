"""Curves over θ: an item's characteristic and information, and how precisely a whole bank measures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.figures.canvas import Box, Canvas, Figure, Look, Mark, Point
from reports.figures.primitives import AXIS, MARK_PX, across, below, heading, intervals, label
from reports.figures.scales import Scale, decimals, spanning
from reports.figures.style import SMALL, WIDTH_PX, Role
from reports.texts import Texts
from seedtest.irt import ItemParameters, information, probability
from seedtest.irt.parameters import FloatArray

THETA = np.linspace(-4, 4, 81)
"""Logits; nearly all learners lie within."""
LEFT_PX = 42
PANEL_PX = 104
HEAD_PX = 28
TITLE_PX = 24
"""Room for the title of a panel."""
THETA_PX = 22
"""Room for θ below the lowest panel."""
PADDING_PX = 10
RIGHT_PX = 8
MOST_TICKS = 5
THETA_TICKS = (-4, -2, 0, 2, 4)
SAID_AT = (-2, 0, 2)
"""θ of which the alternative text tells the standard error."""
LARGEST_SE = 2.0
"""Logits; where an item bank tells less, the curve ends."""

_CURVE = Look(line=Role.MAIN, width_px=2, name="curve")
_DIFFICULTY = Look(Role.CONTRAST, Role.SURFACE, 1.5, name="difficulty")
_ERROR = Look(line=Role.CONTRAST, width_px=1.75, name="difficulty-se")


@dataclass(frozen=True, slots=True)
class _Panel:
    """Values over θ, (n_theta,); NaN is not drawn. The axis holds at least `least`."""

    title: str
    values: FloatArray
    least: float


def item_curves(items: ItemParameters, at: int, texts: Texts) -> Figure:
    """Draw P(correct | θ), the item's difficulty ± SE in it, and its information."""
    item = items.take(np.array([at], dtype=np.int32))
    curve, informs = probability(item, THETA)[0], information(item, THETA)[0]
    panels = [
        _Panel(texts.gettext("Probability of a right answer"), curve, 1.0),
        _Panel(texts.gettext("Information (1/logits²)"), informs, 0.5),
    ]
    canvas = _canvas(panels)
    heading(canvas, item.item_ids[0], _parameter("b", item.b[0], item.se_b[0], texts))
    scales = _draw(canvas, panels, texts)
    _difficulty(canvas, item, scales[0])
    best = int(np.argmax(informs))
    said = texts.gettext(
        "Item %(item)s: %(parameters)s, from %(n)s answers; most information %(most)s at θ %(theta)s.",
        item=item.item_ids[0],
        parameters=_parameters(item, texts),
        n=texts.number(int(item.n[0]), 0),
        most=texts.number(float(informs[best])),
        theta=texts.number(float(THETA[best]), 1),
    )
    return canvas.figure("item-curves", said)


def bank_precision(items: ItemParameters, texts: Texts) -> Figure | None:
    """Draw the information of all items together and the SE(θ) it allows, 1/√I; None without an item."""
    if not len(items):
        return None
    informs = information(items, THETA).sum(axis=0)
    se = 1 / np.sqrt(informs)
    panels = [
        _Panel(texts.gettext("Information (1/logits²)"), informs, 1.0),
        _Panel(
            texts.gettext("SE of θ after all items (logits)"), np.where(se <= LARGEST_SE, se, np.nan), 0.5
        ),
    ]
    canvas = _canvas(panels)
    best = int(np.argmax(informs))
    at_best = texts.gettext("most at θ %(theta)s", theta=texts.number(float(THETA[best]), 1))
    heading(canvas, texts.ngettext("%(n)s item", "%(n)s items", len(items)), at_best)
    _draw(canvas, panels, texts)
    told = texts.gettext(
        "Information of %(n)s items over θ: at most %(most)s, at θ %(theta)s.",
        n=texts.number(len(items), 0),
        most=texts.number(float(informs[best]), 1),
        theta=texts.number(float(THETA[best]), 1),
    )
    return canvas.figure("bank-precision", " ".join([told, *_errors(se, texts)]))


def _errors(se: FloatArray, texts: Texts) -> list[str]:
    return [
        texts.gettext(
            "SE at θ %(theta)s: %(se)s.",
            theta=texts.number(float(theta), 0),
            se=texts.number(float(se[np.searchsorted(THETA, theta)])),
        )
        for theta in SAID_AT
    ]


def _canvas(panels: Sequence[_Panel]) -> Canvas:
    return Canvas(HEAD_PX + len(panels) * (TITLE_PX + PANEL_PX) + THETA_PX)


def _draw(canvas: Canvas, panels: Sequence[_Panel], texts: Texts) -> list[Scale]:
    """Draw the panels below each other over one axis of θ, and return their vertical scales."""
    theta, scales = Scale(THETA[0], THETA[-1], LEFT_PX, WIDTH_PX - RIGHT_PX), []
    for number, panel in enumerate(panels):
        top = HEAD_PX + number * (TITLE_PX + PANEL_PX)
        label(canvas, Point(0, top + 10), panel.title, role=Role.MUTED, size=SMALL)
        scales.append(_curve(canvas, panel, theta, top + TITLE_PX, texts))
    bottom = canvas.height_px - THETA_PX
    below(canvas, [(theta(at), f"θ {texts.number(at, 0)}") for at in THETA_TICKS], bottom + 16)
    return scales


def _curve(canvas: Canvas, panel: _Panel, theta: Scale, top: float, texts: Texts) -> Scale:
    known = np.isfinite(panel.values)
    highest = float(panel.values[known].max(initial=panel.least))
    bottom = top + PANEL_PX - PADDING_PX
    up, marked = spanning([0, highest], bottom, top, most=MOST_TICKS)
    area = Box(LEFT_PX, top, WIDTH_PX - LEFT_PX, bottom - top)
    across(canvas, up, [(at, texts.number(at, decimals(marked))) for at in marked], area)
    canvas.lines([(Point(area.x, bottom), Point(WIDTH_PX, bottom))], AXIS)
    points = [Point(theta(x), up(y)) for x, y in zip(THETA[known], panel.values[known], strict=True)]
    if len(points) > 1:
        canvas.lines([points], _CURVE)
    return up


def _difficulty(canvas: Canvas, item: ItemParameters, up: Scale) -> None:
    """Mark b, where the curve is half-way between c and 1, with ±1 SE."""
    theta, b, se_b = Scale(THETA[0], THETA[-1], LEFT_PX, WIDTH_PX - RIGHT_PX), item.b[0], item.se_b[0]
    if not theta.holds(b):
        return
    y = up((1 + item.c[0]) / 2)
    if np.isfinite(se_b):
        intervals(canvas, [(Point(theta(b - se_b), y), Point(theta(b + se_b), y))], _ERROR)
    canvas.marks([Point(theta(b), y)], Mark.DOT, MARK_PX, _DIFFICULTY)


def _parameters(item: ItemParameters, texts: Texts) -> str:
    named = [("a", item.a[0], item.se_a[0]), ("b", item.b[0], item.se_b[0])]
    if item.c[0] > 0:
        named.append(("c", item.c[0], item.se_c[0]))
    return ", ".join(_parameter(name, value, se, texts) for name, value, se in named)


def _parameter(name: str, value: float, se: float, texts: Texts) -> str:
    known = f" ± {texts.number(se)}" if np.isfinite(se) else ""
    return f"{name} {texts.number(value)}{known}"
