"""What the checks judge: counts, as frozen dataclasses."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from seedtest.quality.findings import Check

WEEK_DAYS = 7
COMPARED_WEEKS = 4
"""A day's volume is compared with the same weekdays of so many weeks before."""

COMPARED_DAYS = WEEK_DAYS * (COMPARED_WEEKS + 1)
"""Days up to the run's last one whose answers the comparison needs: the week judged, and those before."""

FEWEST_HASTY = 10
"""A learner with fewer hasty answers than this may have been lucky, or pressed a key by mistake."""

HASTY_SHARE = 0.5
"""Of a learner's answers, the share of hasty ones from which on nobody can have read the questions."""

MAX_THETA = 6.0
"""Nobody of a standard normal population comes near ±6; on a wide scale a few do."""


@dataclass(frozen=True)
class AnswerCounts:
    """Sums over the packs of the run's days; what the columns count stands in `seedtest.db.answer_packs`.

    `n_without_topic` is an upper bound: an answer's own topic is missing, its question's may not be.
    """

    n_results: int = 0
    n_without_list: int = 0
    n_elements: int = 0
    n_answers: int = 0
    n_without_topic: int = 0
    n_without_time: int = 0
    n_impossible_times: int = 0


@dataclass(frozen=True)
class LeftOut:
    """Results of the run's days that no stage reads."""

    n_without_user: int = 0
    n_failed: int = 0


@dataclass(frozen=True)
class HastyLearners:
    """Learners most of whose answers came faster than anybody reads, and how many answers these are."""

    n_learners: int = 0
    n_answers: int = 0


@dataclass(frozen=True)
class Repeats:
    """Answers of the run's last day, and those to a question that stood in their session before."""

    n_answers: int = 0
    n_repeated: int = 0


@dataclass(frozen=True)
class QuestionTopics:
    """How many questions there are, and how many of them name a topic."""

    n_questions: int = 0
    n_with_topic: int = 0

    @property
    def share_without(self) -> float:
        """Of the questions, the share that names none; 1 without questions."""
        return (self.n_questions - self.n_with_topic) / self.n_questions if self.n_questions else 1.0


@dataclass(frozen=True)
class FitItems:
    """The items of the fit in force: those in its answers, and those left out as answered all alike."""

    run_id: str
    n_items: int
    n_all_right: int
    n_all_wrong: int


@dataclass(frozen=True)
class AnswerEvidence:
    """What is known of the answers of a run's days before anything is computed from them.

    Attributes
    ----------
    first_day, last_day
        The run's UTC days, both included.
    answers_by_day
        Answers of each of the COMPARED_DAYS days up to `last_day`; a day without any may be missing.
    newest
        When the newest answer of these days was completed.
    counts, left_out, hasty
        Over the run's days.
    repeats
        Of the run's last day.
    topics
        Of all questions: what an answer without a topic of its own may fall back on.
    fit
        None without a fit in force.
    n_recorded
        Answers that the topic features written so far hold for the last WEEK_DAYS days.
    n_without_topic
        The real number of the run's answers without a topic, where somebody has counted it.
    """

    first_day: dt.date
    last_day: dt.date
    answers_by_day: Mapping[dt.date, int]
    newest: dt.datetime | None
    counts: AnswerCounts = AnswerCounts()
    left_out: LeftOut = LeftOut()
    hasty: HastyLearners = HastyLearners()
    repeats: Repeats = Repeats()
    topics: QuestionTopics = QuestionTopics()
    fit: FitItems | None = None
    n_recorded: int = 0
    n_without_topic: int | None = None

    def on(self, day: dt.date) -> int:
        """Return the answers of a day."""
        return self.answers_by_day.get(day, 0)

    def week_until(self, day: dt.date) -> int:
        """Return the answers of the WEEK_DAYS days that end with a day."""
        return sum(self.on(day - dt.timedelta(days=n)) for n in range(WEEK_DAYS))

    @property
    def usual_day(self) -> float:
        """The median of the same weekday in the weeks before."""
        return median(self.on(day) for day in self._same_weekdays())

    @property
    def usual_week(self) -> float:
        """The median of the weeks before the last one."""
        return median(self.week_until(day) for day in self._same_weekdays())

    def _same_weekdays(self) -> list[dt.date]:
        return [self.last_day - dt.timedelta(weeks=n + 1) for n in range(COMPARED_WEEKS)]


@dataclass(frozen=True)
class ValueCounts:
    """What a column holds after a stage: how many values are known, outside the range, or no numbers.

    `n_outside` counts finite numbers outside [low, high]; `n_unusable` NaN, infinities and what is no
    number at all; `n_known` all of them.
    """

    check: Check
    column: str
    low: float
    high: float
    n_known: int
    n_outside: int
    n_unusable: int
