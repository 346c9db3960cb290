"""The days that a report of a week looks at, all whole UTC days that end with the week."""

import datetime as dt
from dataclasses import dataclass

from reports.model import DAYS, WEEKS
from seedtest.db.attempts import Scope, last_days
from seedtest.errors import ConfigurationError
from seedtest.theta import TOPIC_THETA_DAYS


@dataclass(frozen=True)
class Period:
    """The ISO week from `week_start`, and the seven before it.

    Raises
    ------
    ConfigurationError
        When `week_start` is not a Monday.
    """

    week_start: dt.date

    def __post_init__(self) -> None:
        if self.week_start.weekday() != 0:
            monday = self.week_start - dt.timedelta(days=self.week_start.weekday())
            raise ConfigurationError(
                f"A report's week starts on a Monday, and {self.week_start} is a {self.week_start:%A}: "
                f"ask for {monday}."
            )

    @property
    def week_end(self) -> dt.date:
        """The Sunday of the week, the last day that counts."""
        return self.week_start + dt.timedelta(days=6)

    @property
    def first_day(self) -> dt.date:
        """The first day of the eight weeks."""
        return self.week_start - dt.timedelta(days=DAYS - 7)

    @property
    def weeks(self) -> tuple[dt.date, ...]:
        """The Mondays of the eight weeks."""
        return tuple(self.first_day + dt.timedelta(days=7 * week) for week in range(WEEKS))

    @property
    def days(self) -> tuple[dt.date, ...]:
        """The days of the eight weeks."""
        return tuple(self.first_day + dt.timedelta(days=day) for day in range(DAYS))

    @property
    def answers(self) -> Scope:
        """The days of answers to load: θ in a topic rests on four more than the eight weeks have."""
        return last_days(self.week_end, max(DAYS, TOPIC_THETA_DAYS))
