"""What a weekly report says of one learner: plain data, checked, without a word of prose.

θ and difficulties are in logits on the scale `version`; times are UTC; what is unknown is None, never 0.
Sequences by week or day run from the oldest to the newest and end with the report's own.
"""

import datetime as dt
from dataclasses import dataclass, fields
from enum import StrEnum

from reports.advice import NoAdvice, Recommendation
from reports.checked import Amount, Change, Checked, Count, Positive, Probability
from reports.levels import Level
from seedtest.errors import DataError
from seedtest.settings import Language

WEEKS = 8
"""Weeks that a report looks back on, its own included."""
DAYS = 7 * WEEKS


@dataclass(frozen=True, slots=True)
class Kpis(Checked):
    """The six KPIs of a week (domain §3)."""

    I_t: Change | None = None
    E_t: Probability | None = None
    R_t: Probability | None = None
    A_t: Probability | None = None
    P: Probability | None = None
    S: Probability | None = None


KPI_NAMES = tuple(field.name for field in fields(Kpis))


@dataclass(frozen=True, slots=True)
class WeekKpis:
    """A week of the history; all None where the learner has no row of that week."""

    week_start: dt.date
    kpis: Kpis


class AbilitySource(StrEnum):
    """Where a θ comes from."""

    CALIBRATION = "calibration"
    ONLINE = "online"
    ANSWERS = "answers"
    """Estimated for the report, from the answers of its weeks: none was stored at the time."""


@dataclass(frozen=True, slots=True)
class Ability(Checked):
    """The learner's θ as of the end of the week.

    `percentile` is Φ((θ − theta_mean)/theta_sd), in [0, 1]; `as_of` the newest answer behind θ.
    """

    theta: float
    se: Amount | None
    percentile: Probability
    level: Level
    model: str
    version: str
    as_of: dt.datetime
    source: AbilitySource


@dataclass(frozen=True, slots=True)
class TrendPoint(Checked):
    """θ at the end of a week in which the learner answered."""

    week_start: dt.date
    theta: float
    se: Amount | None
    source: AbilitySource


@dataclass(frozen=True, slots=True)
class AbilityTrend:
    """θ by week, all on the scale `version`; a week without a point is one without a new θ.

    `rescaled_from` is the scale of earlier weeks where it changed within the eight: their θ of then are
    left out, and stand here only as estimated anew on this scale (`AbilitySource.ANSWERS`).
    """

    points: tuple[TrendPoint, ...] = ()
    version: str | None = None
    rescaled_from: str | None = None


@dataclass(frozen=True, slots=True)
class AnsweredItem(Checked):
    """A calibrated item that the learner answered in the eight weeks.

    `expected` is P(correct | θ), None without θ; `correct` and `answered_at` are of the last answer.
    """

    item_id: str
    topic_id: str | None
    a: Positive
    b: float
    c: Probability
    expected: Probability | None
    answered_at: dt.datetime
    correct: bool
    n_answers: Count


@dataclass(frozen=True, slots=True)
class CandidateItem(Checked):
    """A calibrated item of the learner's topics, not answered lately, that is about right at θ."""

    item_id: str
    topic_id: str
    a: Positive
    b: float
    c: Probability
    expected: Probability


@dataclass(frozen=True, slots=True)
class Items:
    """Items by difficulty: `answered` by (b, item_id), `candidates` the nearest to 70 % first."""

    answered: tuple[AnsweredItem, ...] = ()
    candidates: tuple[CandidateItem, ...] = ()


class GoalStatus(StrEnum):
    """How a goal stands."""

    REACHED = "reached"
    ON_PACE = "on_pace"
    BEHIND = "behind"
    OVERDUE = "overdue"
    """The day has passed, and the level is not reached."""
    OPEN = "open"
    """No day is set, no pace has shown yet, or it is too uncertain to tell."""
    UNKNOWN = "unknown"
    """No θ in the topic, or no level to reach."""


class PaceOf(StrEnum):
    """Whose growth stands behind a pace."""

    TOPIC = "topic"
    ALL = "all"
    """All answers of the learner: those in the topic are too few."""


@dataclass(frozen=True, slots=True)
class Goal(Checked):
    """A goal in a topic, with the learner's θ in it.

    Attributes
    ----------
    probability
        That θ is at or above the target: Φ((θ − target_level)/se).
    weeks_left
        From the end of the week to `target_date`, below 0 when it has passed.
    needed_per_week
        Logits a week to the target on its day; 0 when reached.
    shown_per_week, shown_se
        Logits a week that θ grew between the last two windows of 28 days, and its standard error; of
        θ in the topic or over all, as `shown_of` says; all three None without answers enough in each.
    """

    topic_id: str
    status: GoalStatus
    target_level: float | None
    target_score: float | None
    target_date: dt.date | None
    priority: int
    theta: float | None
    se: Amount | None
    probability: Probability | None
    weeks_left: float | None
    needed_per_week: Amount | None
    shown_per_week: float | None
    shown_se: Amount | None
    shown_of: PaceOf | None


@dataclass(frozen=True, slots=True)
class Topic(Checked):
    """A topic that the learner answered in the eight weeks.

    Attributes
    ----------
    accuracy_low, accuracy_high
        Wilson's 95 % interval of `accuracy`.
    theta, se, n
        EAP from the `n` counted answers of the 60 days up to the week's end; None without one.
    expected_theta
        The EAP to be expected of such answers at the learner's θ over all topics; None without either.
    improvement
        I_t restricted to the topic, as of the week's end.
    rt_median_ms
        Median of the known response times of all answers.
    """

    topic_id: str
    attempts: Count
    attempts_this_week: Count
    correct: Count
    accuracy: Probability
    accuracy_low: Probability
    accuracy_high: Probability
    theta: float | None
    se: Amount | None
    n: Count
    expected_theta: float | None
    improvement: Change | None
    rt_median_ms: Amount | None
    last_answered_at: dt.datetime


@dataclass(frozen=True, slots=True)
class PracticeDay(Checked):
    """A day of the calendar; `minutes` is the sum of the known response times."""

    date: dt.date
    attempts: Count
    correct: Count
    minutes: Amount


@dataclass(frozen=True, slots=True)
class WeekResponseTime(Checked):
    """Response times of a week's right answers, `n` of known time; median and quartiles None without."""

    week_start: dt.date
    n: Count
    median_ms: Amount | None
    q1_ms: Amount | None
    q3_ms: Amount | None


@dataclass(frozen=True, slots=True)
class LinkedFit(Checked):
    """The fit that the report rests on, and how it was put on its scale.

    `slope` and `intercept` are None together, then `reason` says why as the fit's record has it (None
    where the anchors were held during the fit).
    """

    run_id: str
    fitted_at: dt.datetime
    last_day: dt.date | None
    model: str
    version: str
    scale: str | None
    method: str | None
    slope: float | None
    intercept: float | None
    reason: str | None
    n_anchors: Count
    n_items: Count
    n_users: Count
    theta_mean: float
    theta_sd: Positive


@dataclass(frozen=True, slots=True)
class Counts(Checked):
    """The report's week in numbers; `minutes` is the sum of the known response times."""

    attempts: Count
    correct: Count
    sessions: Count
    active_days: Count
    minutes: Amount


@dataclass(frozen=True, slots=True)
class DataDates:
    """What the footer says of the data, answers of the eight weeks; the code is what assembled the report."""

    first_answer_at: dt.datetime | None
    last_answer_at: dt.datetime | None
    kpis_computed_at: dt.datetime
    code_version: str


@dataclass(frozen=True, slots=True)
class WeeklyReport:
    """All that the report of one learner's ISO week says.

    `days` has all 56 days and `kpi_history` and `response_times` all 8 weeks, practised or not. Without
    recommendations, `no_advice` says why. `answers_without_topic` of the eight weeks are in no topic.
    """

    user_id: str
    week_start: dt.date
    language: Language
    kpi_history: tuple[WeekKpis, ...]
    ability: Ability | None
    ability_trend: AbilityTrend
    items: Items
    goals: tuple[Goal, ...]
    topics: tuple[Topic, ...]
    answers_without_topic: int
    days: tuple[PracticeDay, ...]
    response_times: tuple[WeekResponseTime, ...]
    recommendations: tuple[Recommendation, ...]
    no_advice: NoAdvice | None
    linking: LinkedFit | None
    counts: Counts
    data: DataDates

    def __post_init__(self) -> None:
        if self.week_start.weekday() != 0:
            raise DataError(f"The report of {self.user_id!r} starts on {self.week_start}, not on a Monday.")
        lengths = len(self.kpi_history), len(self.response_times), len(self.days)
        if lengths != (WEEKS, WEEKS, DAYS):
            raise DataError(
                f"The report of {self.user_id!r} has {lengths[0]} weeks of KPIs, {lengths[1]} of response "
                f"times and {lengths[2]} days, not {WEEKS}, {WEEKS} and {DAYS}."
            )
        if bool(self.recommendations) == (self.no_advice is not None):
            raise DataError(f"The report of {self.user_id!r} needs recommendations, or a reason for none.")

    @property
    def week_end(self) -> dt.date:
        """The Sunday of the week."""
        return self.week_start + dt.timedelta(days=6)

    @property
    def kpis(self) -> Kpis:
        """The week's own KPIs."""
        return self.kpi_history[-1].kpis

    @property
    def last_week_kpis(self) -> Kpis:
        """Those of the week before, for the change."""
        return self.kpi_history[-2].kpis
