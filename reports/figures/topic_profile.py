"""Topics with their uncertainty: θ ± SE where there is one, else the share right with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.figures.canvas import Canvas, Figure, Look, Mark, Point
from reports.figures.lettering import text_width
from reports.figures.primitives import (
    DESCENT_PX,
    GAP_PX,
    GRID,
    MARK_PX,
    Key,
    below,
    intervals,
    label,
    legend,
    note,
)
from reports.figures.scales import Scale, decimals, spanning
from reports.figures.style import SMALL, WIDTH_PX, Role
from reports.model import Topic, WeeklyReport
from reports.texts import Texts

MOST_TOPICS = 12
ROW_PX = 34
HEAD_PX = 22
AXIS_PX = 26
NOTE_PX = 14
BAR_PX = 23
"""From a row's top to its interval."""
LEFT_PX, RIGHT_PX = 8.0, WIDTH_PX - 8.0
TICK_PX = 4
MOST_TICKS = 6
LEAST_SPAN = 2.0
"""Logits that the axis spans at least."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)

_INTERVAL = Look(line=Role.MAIN, width_px=1.75, name="interval")
_ESTIMATE = Look(Role.MAIN, Role.SURFACE, 1.5, name="estimate")
_EXPECTED = Look(line=Role.CONTRAST, width_px=2, name="expected")


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    value: float
    low: float
    high: float
    text: str
    said: str
    expected: float | None = None


@dataclass(frozen=True, slots=True)
class _Panel:
    """Topics measured in one unit, on an axis of their own."""

    title: str
    rows: tuple[_Row, ...]
    is_share: bool = False

    @property
    def expected(self) -> list[tuple[int, float]]:
        """What is to be expected of the learner, by the number of the row."""
        return [(at, row.expected) for at, row in enumerate(self.rows) if row.expected is not None]

    @property
    def height_px(self) -> float:
        return HEAD_PX + ROW_PX * len(self.rows) + AXIS_PX


def topic_profile(report: WeeklyReport, texts: Texts) -> Figure | None:
    """Draw the topics with most answers, the strongest first; None without a topic."""
    if not report.topics:
        return None
    shown = sorted(report.topics, key=lambda topic: (-topic.attempts, topic.topic_id))[:MOST_TOPICS]
    panels = [panel for panel in (_thetas(shown, texts), _shares(shown, texts)) if panel.rows]
    left_out = _left_out(len(report.topics), texts)
    canvas = Canvas(sum(panel.height_px for panel in panels) + (NOTE_PX + 4 if left_out else 0))
    top = 0.0
    for panel in panels:
        _draw(canvas, panel, top, texts)
        top += panel.height_px
    if left_out:
        note(canvas, left_out, canvas.height_px - DESCENT_PX)
    said = [f"{panel.title}: {'; '.join(row.said for row in panel.rows)}." for panel in panels]
    return canvas.figure("topic-profile", " ".join([*said, left_out]).strip())


def _thetas(topics: Sequence[Topic], texts: Texts) -> _Panel:
    rows = [_theta_row(topic, topic.theta, texts) for topic in topics if topic.theta is not None]
    return _Panel(texts.gettext("Ability θ ± SE (logits)"), _strongest_first(rows))


def _theta_row(topic: Topic, theta: float, texts: Texts) -> _Row:
    se = topic.se or 0.0
    text = texts.number(theta) if topic.se is None else f"{texts.number(theta)} ± {texts.number(topic.se)}"
    facts = [texts.ngettext("%(n)s answer", "%(n)s answers", topic.n)]
    if topic.expected_theta is not None:
        facts.append(texts.gettext("expected %(theta)s", theta=texts.number(topic.expected_theta)))
    said = f"{topic.topic_id} {text} ({', '.join(facts)})"
    return _Row(topic.topic_id, theta, theta - se, theta + se, text, said, topic.expected_theta)


def _shares(topics: Sequence[Topic], texts: Texts) -> _Panel:
    rows = [_share_row(topic, texts) for topic in topics if topic.theta is None]
    return _Panel(texts.gettext("Share right, with 95% interval"), _strongest_first(rows), is_share=True)


def _share_row(topic: Topic, texts: Texts) -> _Row:
    share, low, high = topic.accuracy, topic.accuracy_low, topic.accuracy_high
    text = f"{texts.percent(share)} ({topic.correct}/{topic.attempts})"
    said = f"{topic.topic_id} {text}, {texts.percent(low)} – {texts.percent(high)}"
    return _Row(topic.topic_id, share, low, high, text, said)


def _strongest_first(rows: Sequence[_Row]) -> tuple[_Row, ...]:
    return tuple(sorted(rows, key=lambda row: (-row.value, row.name)))


def _left_out(n_topics: int, texts: Texts) -> str:
    if n_topics <= MOST_TOPICS:
        return ""
    return texts.gettext(
        "The %(shown)s topics with most answers; %(others)s more are not shown.",
        shown=texts.number(MOST_TOPICS, 0),
        others=texts.number(n_topics - MOST_TOPICS, 0),
    )


def _draw(canvas: Canvas, panel: _Panel, top: float, texts: Texts) -> None:
    taken = label(canvas, Point(0, top + 12), panel.title, role=Role.MUTED, size=SMALL)
    if panel.expected:
        key = Key(texts.gettext("expected at your level"), _EXPECTED, Mark.BAR)
        legend(canvas, [[key]], top + 12, left_px=taken + GAP_PX)
    scale, marked = _axis(panel, texts)
    middles = [top + HEAD_PX + at * ROW_PX + BAR_PX for at in range(len(panel.rows))]
    _tracks(canvas, middles, [scale(value) for value, _ in marked])
    canvas.marks([Point(scale(theta), middles[at]) for at, theta in panel.expected], Mark.BAR, 6, _EXPECTED)
    _rows(canvas, panel.rows, middles, scale)
    below(canvas, [(scale(value), text) for value, text in marked], top + panel.height_px - AXIS_PX + 14)


def _axis(panel: _Panel, texts: Texts) -> tuple[Scale, list[tuple[float, str]]]:
    if panel.is_share:
        return Scale(0, 1, LEFT_PX, RIGHT_PX), [(share, texts.percent(share)) for share in SHARES]
    held = [value for row in panel.rows for value in (row.low, row.high)]
    held += [theta for _, theta in panel.expected]
    scale, ticks = spanning(held, LEFT_PX, RIGHT_PX, most=MOST_TICKS, at_least=LEAST_SPAN)
    return scale, [(value, texts.number(value, decimals(ticks))) for value in ticks]


def _tracks(canvas: Canvas, middles: Sequence[float], marked_px: Sequence[float]) -> None:
    """Draw the axis anew under each name, so that no line runs through the names."""
    tracks = [(Point(LEFT_PX, y), Point(RIGHT_PX, y)) for y in middles]
    strokes = [(Point(x, y - TICK_PX), Point(x, y + TICK_PX)) for y in middles for x in marked_px]
    canvas.lines([*tracks, *strokes], GRID)


def _rows(canvas: Canvas, rows: Sequence[_Row], middles: Sequence[float], scale: Scale) -> None:
    spans = [(Point(scale(r.low), y), Point(scale(r.high), y)) for r, y in zip(rows, middles, strict=True)]
    intervals(canvas, spans, _INTERVAL)
    points = [Point(scale(row.value), y) for row, y in zip(rows, middles, strict=True)]
    canvas.marks(points, Mark.DOT, MARK_PX, _ESTIMATE)
    for row, middle in zip(rows, middles, strict=True):
        baseline = middle - BAR_PX + 12
        room = WIDTH_PX - text_width(row.text, SMALL) - GAP_PX
        label(canvas, Point(0, baseline), row.name, width_px=room)
        label(canvas, Point(WIDTH_PX, baseline), row.text, size=SMALL, anchor="right")
