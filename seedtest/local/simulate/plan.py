"""What cohort to make: sizes, days and seed, checked before anything is drawn."""

import datetime as dt
import hashlib
import math
from dataclasses import dataclass, field, fields

import numpy as np

from seedtest.errors import ConfigurationError

MIN_SESSION_ANSWERS = 5
MAX_SESSION_ANSWERS = 12
# Two-hour slots of a day in which somebody sits down to learn.
SLOTS_A_DAY = 8
MAX_ANSWERS_A_DAY = MIN_SESSION_ANSWERS * SLOTS_A_DAY

LIMITS = {
    "users": (1, 1_000_000),
    "items": (2, 100_000),
    "topics": (1, 1_000),
    "days": (1, 3_650),
    "seed": (0, 2**32 - 1),
    "answers": (1, 10_000),
}


def yesterday() -> dt.date:
    """Return the last complete day, in UTC."""
    return dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)


@dataclass(frozen=True)
class SimulationPlan:
    """A cohort's size and place in time; the same plan is the same cohort, row by row.

    `end` moves the cohort in time and changes nothing else: learners, items, sessions and answers
    keep their ids, so that a cohort loaded again tomorrow takes the place of today's.

    Attributes
    ----------
    users, items, topics
        How many learners, items in the bank, and topics that the items belong to.
    days, end
        Over how many days the answers are given, and the last of them, which has answers.
    answers
        How many answers each learner gives.
    seed
        Seed of everything that is drawn.

    Raises
    ------
    ConfigurationError
        A value is out of its limits, or there are too few items or days for what is asked.
    """

    users: int = 500
    items: int = 150
    topics: int = 8
    days: int = 60
    seed: int = 20_250_101
    end: dt.date = field(default_factory=yesterday)
    answers: int = 60

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise ConfigurationError(
                    f"Cannot simulate {name} = {getattr(self, name)}: it must be from {least:,} to {most:,}."
                )
        if self.topics > self.items:
            raise ConfigurationError(
                f"Cannot simulate {self.items} items in {self.topics} topics: each topic needs an item. "
                "Ask for more items or fewer topics."
            )
        needed = math.ceil(self.answers / MAX_ANSWERS_A_DAY)
        if self.days < needed:
            raise ConfigurationError(
                f"Cannot simulate {self.answers} answers a learner within {self.days} days: nobody gives "
                f"more than {MAX_ANSWERS_A_DAY} a day. Ask for fewer answers or at least {needed} days."
            )
        if self.start.year < 1990:
            raise ConfigurationError(
                f"Cannot simulate days from {self.start}: they must be after 1990-01-01."
            )

    @property
    def start(self) -> dt.date:
        """The first day."""
        return self.end - dt.timedelta(days=self.days - 1)

    @property
    def key(self) -> str:
        """What the ids of this cohort begin with: everything but `end` decides it."""
        values = [getattr(self, each.name) for each in fields(self) if each.name != "end"]
        return "sim" + hashlib.sha256(repr(values).encode()).hexdigest()[:6]

    def generator(self, *purpose: int) -> np.random.Generator:
        """Return the random numbers for one purpose; no purpose shifts those of another."""
        return np.random.Generator(np.random.PCG64([self.seed, *purpose]))
