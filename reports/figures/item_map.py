"""Answered items by difficulty, against θ: right answers above the line, wrong ones below it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.figures.canvas import Box, Canvas, Figure, Look, Point
from reports.figures.lettering import text_width
from reports.figures.primitives import (
    AXIS,
    DESCENT_PX,
    LINE_PX,
    Key,
    below,
    heading,
    label,
    legend,
    legend_lines,
    note,
)
from reports.figures.scales import Scale
from reports.figures.style import SMALL, WIDTH_PX, Role
from reports.items import TARGET, TOLERANCE
from reports.model import Ability, AnsweredItem, WeeklyReport
from reports.texts import Texts

AREA = Box(0, 28, WIDTH_PX, 164)
AXIS_LABELS_PX = 36
MIDDLE_PX = AREA.y + AREA.height / 2
"""Of the line between right and wrong."""
BIN_LOGITS = 0.5
LEAST_SPAN = 4
"""Whole logits that the axis spans at least."""
FARTHEST = 5.0
"""Logits; items beyond are drawn at the end of the axis, and said to be."""
ITEM_PX = 9
"""Height of an item, less where many are of one difficulty."""
COUNT_PX = 22
"""Room for the count at the end of the longest bar, and for the pins."""
PIN_PX = 7
"""θ is marked at both ends only: a line through the counts would make them hard to read."""
BAR_SHARE = 0.8

_RIGHT = Look(Role.MAIN, Role.MAIN, name="right")
_WRONG = Look(Role.SURFACE, Role.CONTRAST, 1.25, name="wrong")
_FIT_RIGHT = Look(Role.FIT, Role.FIT, stripe=Role.SURFACE, name="right-about-right")
_FIT_WRONG = Look(Role.FIT_TINT, Role.FIT, 1.25, stripe=Role.FIT, name="wrong-about-right")
_SE_BAND = Look(Role.GRID, name="se-band")
_THETA = Look(line=Role.INK, width_px=3, name="theta")


@dataclass(frozen=True, slots=True)
class _Bar:
    """Items of a difficulty that were answered alike; `fit` of the `n` are about right at θ."""

    low: float
    correct: bool
    n: int
    fit: int


def item_map(report: WeeklyReport, texts: Texts) -> Figure | None:
    """Draw how difficulties lie against θ; None without an answered item that is calibrated."""
    items = report.items.answered
    if not items:
        return None
    logits = _logits(items, report.ability)
    bars = list(_bars(items))
    keys = _keys(bars, texts)
    if report.ability is not None and report.ability.se is not None:
        keys.append(Key(texts.gettext("your θ ± SE"), _SE_BAND))
    lines = legend_lines(keys)
    beyond = _beyond(items, texts)
    below_legend = LINE_PX if beyond else 0
    canvas = Canvas(AREA.y + AREA.height + AXIS_LABELS_PX + LINE_PX * len(lines) + below_legend)
    heading(canvas, texts.gettext("Items by difficulty (logits)"), _own(report.ability, texts))
    _theta(canvas, logits, report.ability)
    _draw(canvas, bars, logits, texts)
    _axis(canvas, logits, texts)
    legend(canvas, lines, AREA.y + AREA.height + AXIS_LABELS_PX + 12)
    if beyond:
        note(canvas, beyond, canvas.height_px - DESCENT_PX)
    return canvas.figure("item-map", f"{_said(bars, report.ability, texts)} {beyond}")


def about_right(item: AnsweredItem) -> bool:
    """Say whether the item's expected success at θ is about the target."""
    return item.expected is not None and abs(item.expected - TARGET) <= TOLERANCE


def _beyond(items: Sequence[AnsweredItem], texts: Texts) -> str:
    n = sum(abs(item.b) > FARTHEST for item in items)
    if not n:
        return ""
    return texts.ngettext(
        "%(n)s item beyond ±%(farthest)s stands at the end.",
        "%(n)s items beyond ±%(farthest)s stand at the ends.",
        n,
        farthest=texts.number(FARTHEST, 0),
    )


def _within(value: float) -> float:
    return min(max(value, -FARTHEST), FARTHEST)


def _logits(items: Sequence[AnsweredItem], ability: Ability | None) -> Scale:
    held = [_within(item.b) for item in items]
    if ability is not None:
        se = ability.se or 0.0
        held += [_within(ability.theta - se), _within(ability.theta + se)]
    low, high = math.floor(min(held)), math.floor(max(held)) + 1
    lacking = max(LEAST_SPAN - (high - low), 0)
    return Scale(low - lacking // 2, high + (lacking + 1) // 2, AREA.x, AREA.x + AREA.width)


def _bars(items: Sequence[AnsweredItem]) -> Iterator[_Bar]:
    binned: dict[tuple[float, bool], list[AnsweredItem]] = {}
    for item in items:
        low = math.floor(_within(item.b) / BIN_LOGITS) * BIN_LOGITS
        binned.setdefault((low, item.correct), []).append(item)
    for (low, correct), held in binned.items():
        yield _Bar(low, correct, len(held), sum(map(about_right, held)))


def _theta(canvas: Canvas, logits: Scale, ability: Ability | None) -> None:
    if ability is None:
        return
    if ability.se is not None:
        left, right = (logits(ability.theta + side * ability.se) for side in (-1, 1))
        canvas.boxes([AREA._replace(x=left, width=right - left)], _SE_BAND)
    x, bottom = logits(ability.theta), AREA.y + AREA.height
    ends = [(x, AREA.y, AREA.y + PIN_PX), (x, bottom - PIN_PX, bottom)]
    canvas.lines([(Point(x, top), Point(x, end)) for x, top, end in ends], _THETA)


def _draw(canvas: Canvas, bars: Sequence[_Bar], logits: Scale, texts: Texts) -> None:
    unit = min(ITEM_PX, (AREA.height / 2 - COUNT_PX) / max(bar.n for bar in bars))
    looks: dict[Look, list[Box]] = {}
    for bar in bars:
        for look, first, last in _parts(bar):
            looks.setdefault(look, []).append(_box(bar, first, last, logits, unit))
    for look, boxes in looks.items():
        canvas.boxes(boxes, look)
    for bar in _counted(bars, logits, texts):
        _count(canvas, bar, _box(bar, 0, bar.n, logits, unit), texts)
    canvas.lines([(Point(AREA.x, MIDDLE_PX), Point(AREA.x + AREA.width, MIDDLE_PX))], AXIS)


def _parts(bar: _Bar) -> Iterator[tuple[Look, int, int]]:
    """Yield the parts of a bar, from its first item to its last; those about right are next to the axis."""
    fit, other = (_FIT_RIGHT, _RIGHT) if bar.correct else (_FIT_WRONG, _WRONG)
    if bar.fit:
        yield fit, 0, bar.fit
    if bar.fit < bar.n:
        yield other, bar.fit, bar.n


def _box(bar: _Bar, first: int, last: int, logits: Scale, unit: float) -> Box:
    left, right = logits(bar.low), logits(bar.low + BIN_LOGITS)
    margin = (right - left) * (1 - BAR_SHARE) / 2
    top = MIDDLE_PX - unit * last if bar.correct else MIDDLE_PX + unit * first
    return Box(left + margin, top, right - left - 2 * margin, unit * (last - first))


def _counted(bars: Sequence[_Bar], logits: Scale, texts: Texts) -> Sequence[_Bar]:
    """Return the bars whose number is written: all, or the longest on each side where there is no room."""
    room = logits(logits.low + BIN_LOGITS) - logits(logits.low)
    if all(text_width(texts.number(bar.n, 0), SMALL) <= room for bar in bars):
        return bars
    sides = ([bar for bar in bars if bar.correct is correct] for correct in (True, False))
    return [max(side, key=lambda bar: bar.n) for side in sides if side]


def _count(canvas: Canvas, bar: _Bar, box: Box, texts: Texts) -> None:
    text = texts.number(bar.n, 0)
    baseline = box.y - 3 if bar.correct else box.y + box.height + 11
    canvas.text(Point(box.x + box.width / 2, baseline), text, Role.INK, size=SMALL, anchor="center")


def _axis(canvas: Canvas, logits: Scale, texts: Texts) -> None:
    bottom = AREA.y + AREA.height
    ticks = range(int(logits.low), int(logits.high) + 1)
    canvas.lines([(Point(logits(at), bottom), Point(logits(at), bottom + 4)) for at in ticks], AXIS)
    canvas.lines([(Point(AREA.x, bottom), Point(AREA.x + AREA.width, bottom))], AXIS)
    below(canvas, [(logits(at), texts.number(at, 0)) for at in ticks], bottom + 16)
    easier, harder = texts.gettext("easier"), texts.gettext("harder")
    label(canvas, Point(0, bottom + 31), f"← {easier}", role=Role.MUTED, size=SMALL)
    label(canvas, Point(WIDTH_PX, bottom + 31), f"{harder} →", role=Role.MUTED, size=SMALL, anchor="right")


def _keys(bars: Sequence[_Bar], texts: Texts) -> list[Key]:
    right, wrong = (sum(bar.n for bar in bars if bar.correct is side) for side in (True, False))
    fit = sum(bar.fit for bar in bars)
    keys = [
        Key(texts.gettext("answered right: %(n)s", n=texts.number(right, 0)), _RIGHT),
        Key(texts.gettext("answered wrong: %(n)s", n=texts.number(wrong, 0)), _WRONG),
    ]
    if fit:
        keys.append(Key(texts.gettext("about right for you: %(n)s", n=texts.number(fit, 0)), _FIT_RIGHT))
    return keys


def _own(ability: Ability | None, texts: Texts) -> str:
    if ability is None:
        return ""
    theta = texts.number(ability.theta)
    own = theta if ability.se is None else f"{theta} ± {texts.number(ability.se)}"
    return texts.gettext("your θ %(theta)s", theta=own)


def _said(bars: Sequence[_Bar], ability: Ability | None, texts: Texts) -> str:
    keys = ", ".join(key.text for key in _keys(bars, texts))
    said = [texts.gettext("Items by difficulty in logits: %(keys)s.", keys=keys)]
    if ability is not None:
        said.append(f"{_own(ability, texts)}.")
    for low in sorted({bar.low for bar in bars}):
        n = {side: sum(b.n for b in bars if b.low == low and b.correct is side) for side in (True, False)}
        said.append(
            texts.gettext(
                "%(low)s to %(high)s: %(right)s right, %(wrong)s wrong.",
                low=texts.number(low, 1),
                high=texts.number(low + BIN_LOGITS, 1),
                right=texts.number(n[True], 0),
                wrong=texts.number(n[False], 0),
            )
        )
    return " ".join(said)
