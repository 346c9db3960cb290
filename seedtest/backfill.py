"""What a backfill is made of: windows in order, what each run is asked for, and how it is known again."""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import Literal, get_args

from seedtest.errors import ConfigurationError
from seedtest.windows import monday_of

BackfillFlow = Literal["aggregate-features-daily", "compute-daily-kpis"]
FEATURES: BackfillFlow = "aggregate-features-daily"
KPIS: BackfillFlow = "compute-daily-kpis"

MOST_DAYS = 3650
"""Days that one backfill covers at most: ten years."""

FEATURE_WINDOW_DAYS = 28
"""Days of a run of the features by default; each run reads the two months before them too."""

ELSEWHERE = {
    "mirt-calibrate": "a fit for a past day would rest on the scale of today, and takes no newer estimate's "
    "place. Run it by itself with date=DAY where its history is wanted.",
    "generate-weekly-report": "a report tells what was known of its week. Run it by itself with week=DAY: it "
    "renders what is missing or out of date, and nothing else.",
}
"""Stages that have days or weeks, but no backfill, and why."""

ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """The days from `first_day` to `last_day`, both included: the work of one run."""

    first_day: dt.date
    last_day: dt.date

    @property
    def n_days(self) -> int:
        """How many days there are."""
        return (self.last_day - self.first_day).days + 1

    def __str__(self) -> str:
        return f"{self.first_day} to {self.last_day}"


@dataclass(frozen=True)
class BackfillPlan:
    """A stage's windows over a range of days; equal arguments make equal plans, whenever they are made."""

    flow: BackfillFlow
    days: Window
    window_days: int

    @property
    def id(self) -> str:
        """Name under which a backfill is resumed: a hash of all that it is made from."""
        made_from = [self.flow, str(self.days.first_day), str(self.days.last_day), self.window_days]
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows in the order of their days; KPIs go by ISO weeks, cut at the range's ends."""
        found: list[Window] = []
        first = self.days.first_day
        while first <= self.days.last_day:
            begun = monday_of(first) if self.flow == KPIS else first
            last = min(begun + dt.timedelta(days=self.window_days - 1), self.days.last_day)
            found.append(Window(first, last))
            first = last + ONE_DAY
        return tuple(found)

    def parameters(self, window: Window, today: dt.date) -> dict[str, str | int]:
        """Return what the stage's run for a window is asked for.

        A run of the KPIs for a day writes the week of that day and the one before, and nothing of it
        depends on earlier runs: the Sundays in order leave what all days in order would. The last week
        is measured as late as it can be, so that no row of a whole week gives way to one of a part.
        """
        if self.flow == KPIS:
            sunday = monday_of(window.last_day) + 6 * ONE_DAY
            return {"date": min(sunday, today - ONE_DAY).isoformat()}
        return {"date": window.last_day.isoformat(), "lookback_days": window.n_days}

    def __str__(self) -> str:
        return f"Backfill {self.id} of {self.flow}, {self.days}"


def plan_backfill(
    flow: str, first_day: dt.date, last_day: dt.date, *, window_days: int | None = None, today: dt.date
) -> BackfillPlan:
    """Return the plan of a backfill asked for on the UTC day `today`.

    Raises
    ------
    ConfigurationError
        The flow has no backfill, or the days are none, too many, or not over yet.
    """
    found = _known(flow)
    days = Window(first_day, last_day)
    yesterday = today - ONE_DAY
    if last_day < first_day:
        raise ConfigurationError(
            f"There is no day from {first_day} to {last_day}: give the earlier one first."
        )
    if last_day > yesterday:
        raise ConfigurationError(
            f"A backfill cannot go to {last_day}: the last day that is whole (UTC) is {yesterday}."
        )
    if days.n_days > MOST_DAYS:
        raise ConfigurationError(
            f"From {days} there are {days.n_days:,} days, and one backfill covers {MOST_DAYS:,} at most: "
            "split the range."
        )
    return BackfillPlan(found, days, _window_days(found, window_days))


def _known(flow: str) -> BackfillFlow:
    known: tuple[BackfillFlow, ...] = get_args(BackfillFlow)
    for each in known:
        if flow == each:
            return each
    why = ELSEWHERE.get(flow, "there is no such stage.")
    raise ConfigurationError(f"{flow} cannot be backfilled: {why} What can be: {', '.join(known)}.")


def _window_days(flow: BackfillFlow, window_days: int | None) -> int:
    if flow == KPIS:
        if window_days not in {None, 7}:
            raise ConfigurationError(
                f"KPIs are of ISO weeks, so their windows have 7 days and not {window_days}: leave them out."
            )
        return 7
    if window_days is None:
        return FEATURE_WINDOW_DAYS
    if not 1 <= window_days <= MOST_DAYS:
        raise ConfigurationError(f"A window has 1 to {MOST_DAYS:,} days, not {window_days}.")
    return window_days


@dataclass(frozen=True)
class Course:
    """How far a backfill is, and how long the rest will take at the pace of this run."""

    n_windows: int
    n_done: int
    n_done_before: int
    elapsed_secs: float

    @property
    def n_left(self) -> int:
        """Windows still to do."""
        return self.n_windows - self.n_done

    @property
    def left_secs(self) -> float | None:
        """Seconds that the windows left will take; None before the first has told the pace."""
        n_timed = self.n_done - self.n_done_before
        return self.elapsed_secs / n_timed * self.n_left if n_timed else None

    def described(self, now: dt.datetime) -> str:
        """Return the course in words, with the end expected."""
        text = f"{self.n_done} of {self.n_windows} windows done, {self.n_left} left"
        text += f", {_duration(self.elapsed_secs)} so far"
        if self.n_left and self.left_secs is not None:
            text += f", end expected at {now + dt.timedelta(seconds=self.left_secs):%Y-%m-%d %H:%M} UTC"
        return text


def _duration(secs: float) -> str:
    return str(dt.timedelta(seconds=round(secs)))
