"""What the document says beyond fixed texts: numbers with their uncertainty, states, rows of its tables."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from reports.items import TARGET, TOLERANCE
from reports.levels import Level
from reports.markdown import Markdown, name, span
from reports.model import (
    AnsweredItem,
    Goal,
    GoalStatus,
    LinkedFit,
    TrendPoint,
    WeeklyReport,
    WeekResponseTime,
)
from reports.texts import N_, Texts

NO_BREAK = "\u00a0"
EASY = TARGET + TOLERANCE
"""Expected success from which an item is easy for the learner."""
HARD = TARGET - TOLERANCE
"""Expected success below which an item is hard for the learner; about right lies between, around 70 %."""

OFFERED = 8
"""Items that are offered as the next ones."""
COLUMN_CHARACTERS = 6
"""Wide characters in a line of the narrowest column of names in print."""
PAGE_LINES = 36


@dataclass(frozen=True, slots=True)
class TrendChange:
    """θ of the last point less that of the first; clear where it exceeds its standard error."""

    theta: float
    is_clear: bool


@dataclass(frozen=True, slots=True)
class FitCounts:
    """How many answered items are easy, about right and hard for the learner."""

    easy: int
    right: int
    hard: int


@dataclass(frozen=True, slots=True)
class UsualRange:
    """The mean of all learners' θ, and between which θ most of them lie."""

    mean: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list or table of facts."""

    label: str
    value: str


class Wording:
    """Says values of the model in one language."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def pm(self, theta: float | None, se: float | None) -> str:
        """Return θ ± SE; θ alone where its uncertainty is unknown."""
        if theta is None:
            return self._texts.gettext("N/A")
        number = self._texts.number(theta)
        return number if se is None else f"{number}{NO_BREAK}±{NO_BREAK}{self._texts.number(se)}"

    def seconds(self, ms: float | None) -> str:
        """Return a time, or that there is none."""
        return self._texts.gettext("N/A") if ms is None else self._texts.seconds(ms)

    def percentile(self, share: float) -> str:
        """Return the share of learners below; nobody is told that all or none are."""
        return self._texts.percent(min(max(share, 0.01), 0.99))

    def items(self, item_ids: Iterable[str]) -> Markdown:
        """Return item ids, each set apart."""
        return Markdown(" ".join(span(name(item_id), "item") for item_id in item_ids))

    def levels(self, own: Level) -> Markdown:
        """Return the words for all levels, the learner's own marked."""
        words = (span(self._texts.level(each), "own" if each is own else "other") for each in Level)
        return Markdown(" ".join(words))

    def goal_target(self, goal: Goal, year: int) -> str:
        """Return the level or score to reach, and the day; its year where it is not the report's."""
        t = self._texts
        parts = []
        if goal.target_level is not None:
            parts.append(t.gettext("θ %(level)s", level=t.number(goal.target_level)))
        if goal.target_score is not None:
            parts.append(t.gettext("score %(score)s", score=t.number(goal.target_score, 0)))
        if goal.target_date is not None:
            day = goal.target_date
            shown = t.day_month(day) if day.year == year else t.day(day)
            parts.append(t.gettext("by %(day)s", day=shown))
        return ", ".join(parts) or t.gettext("no level set")

    def goal_status(self, goal: Goal) -> str:
        """Return the state in a word or two, and how likely it is that the goal is reached already."""
        t = self._texts
        said = t.gettext(_STATUS[goal.status])
        if goal.probability is None:
            return said
        share = t.percent(goal.probability)
        if goal.status is GoalStatus.REACHED:
            chance = t.gettext("%(share)s sure", share=share)
        else:
            chance = t.gettext("reached already: %(share)s likely", share=share)
        return f"{said} · {chance}"

    def linking_rows(self, linking: LinkedFit) -> list[Row]:
        """Return how the fit came to its scale, in the order of interest."""
        t = self._texts
        rows = []
        if linking.slope is not None and linking.intercept is not None:
            rows += [
                Row(t.gettext("Slope (A)"), t.number(linking.slope, 4)),
                Row(t.gettext("Intercept (B)"), t.number(linking.intercept, 4, signed=True)),
            ]
        if linking.method:
            rows.append(Row(t.gettext("Method"), name(linking.method)))
        return [
            *rows,
            Row(t.gettext("Anchor questions"), t.number(linking.n_anchors, 0)),
            Row(t.gettext("Scale"), name(linking.version)),
        ]

    def fit_rows(self, linking: LinkedFit) -> list[Row]:
        """Return what the fit rests on, and the learners' distribution."""
        t = self._texts
        mean_and_sd = f"{t.number(linking.theta_mean)}; {t.number(linking.theta_sd)}"
        return [
            Row(t.gettext("Model"), name(linking.model)),
            Row(t.gettext("Questions"), t.number(linking.n_items, 0)),
            Row(t.gettext("Learners"), t.number(linking.n_users, 0)),
            Row(t.gettext("Mean and spread of θ"), mean_and_sd),
        ]

    def usual_range(self, linking: LinkedFit) -> UsualRange:
        """Return where learners lie on the fit's scale; 95 of 100 are within two standard deviations."""
        mean, sd = linking.theta_mean, linking.theta_sd
        return UsualRange(*(self._texts.number(at, 1) for at in (mean, mean - 2 * sd, mean + 2 * sd)))

    def data_rows(self, report: WeeklyReport) -> list[Row]:
        """Return the dates and versions that the footer states."""
        t, data, linking = self._texts, report.data, report.linking
        rows = []
        if data.first_answer_at and data.last_answer_at:
            span_ = f"{t.minute(data.first_answer_at)} – {t.minute(data.last_answer_at)}"
            rows.append(Row(t.gettext("Answers"), span_))
        else:
            rows.append(Row(t.gettext("Answers"), t.gettext("none in the last eight weeks")))
        rows.append(Row(t.gettext("Key metrics computed"), t.minute(data.kpis_computed_at)))
        if report.ability:
            rows.append(Row(t.gettext("θ as of"), t.minute(report.ability.as_of)))
        if linking:
            rows += [
                Row(
                    t.gettext("Fit of the questions"),
                    f"{name(linking.run_id)} ({t.minute(linking.fitted_at)})",
                ),
                Row(t.gettext("Model and scale"), f"{name(linking.model)}, {name(linking.version)}"),
            ]
        rows.append(Row(t.gettext("Version of the report"), name(data.code_version)))
        return rows


_STATUS = {
    GoalStatus.REACHED: N_("reached"),
    GoalStatus.ON_PACE: N_("on pace"),
    GoalStatus.BEHIND: N_("behind"),
    GoalStatus.OVERDUE: N_("day has passed"),
    GoalStatus.OPEN: N_("under way"),
    GoalStatus.UNKNOWN: N_("no level yet"),
}


def trend_change(points: tuple[TrendPoint, ...]) -> TrendChange | None:
    """Return the change over the points; not clear where an uncertainty is unknown."""
    if len(points) < 2:
        return None
    first, last = points[0], points[-1]
    change = last.theta - first.theta
    if first.se is None or last.se is None:
        return TrendChange(change, is_clear=False)
    return TrendChange(change, is_clear=abs(change) > math.hypot(first.se, last.se))


def fit_counts(answered: tuple[AnsweredItem, ...]) -> FitCounts | None:
    """Count the items by expected success; None without θ."""
    expected = [item.expected for item in answered if item.expected is not None]
    if not expected:
        return None
    easy, hard = sum(p > EASY for p in expected), sum(p < HARD for p in expected)
    return FitCounts(easy, len(expected) - easy - hard, hard)


def is_tall(names: Iterable[str]) -> bool:
    """Say whether a column of the names, half a page wide, may be higher than a page has room for."""
    return sum(math.ceil(len(each) / COLUMN_CHARACTERS) for each in names) > PAGE_LINES


def longest_streak(practised: Iterable[bool]) -> int:
    """Return the most days in a row."""
    longest = run = 0
    for practised_then in practised:
        run = run + 1 if practised_then else 0
        longest = max(longest, run)
    return longest


def timed_weeks(weeks: tuple[WeekResponseTime, ...]) -> list[WeekResponseTime]:
    """Return the weeks with a known time."""
    return [week for week in weeks if week.median_ms is not None]
