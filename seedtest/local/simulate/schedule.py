"""When the learners sit down: sessions of 5 to 12 answers at human hours, none before the last has ended."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedtest.local.simulate.learners import Learners
from seedtest.local.simulate.plan import (
    MAX_SESSION_ANSWERS,
    MIN_SESSION_ANSWERS,
    SLOTS_A_DAY,
    SimulationPlan,
)

MINUTE_US = 60_000_000
DAY_US = 1440 * MINUTE_US
# Slots of two hours from midnight UTC: 9 in the morning to 1 at night in Korea, mostly after school.
SLOT_US = 120 * MINUTE_US
SLOT_WEIGHTS = np.array([0.5, 0.5, 0.7, 1.5, 3.0, 4.0, 3.0, 0.6])
# A session begins within the first part of its slot and ends within the slot.
LATEST_START_US = 50 * MINUTE_US


@dataclass(frozen=True)
class Schedule:
    """Sessions of some learners; absent ones at the end of a row have size 0.

    `start_us` are microseconds from the plan's first day (n_users, n_sessions); `session` is the
    session of each answer (n_users, n_answers) and `position` its place in it, from 0.
    """

    size: NDArray[np.int64]
    start_us: NDArray[np.int64]
    session: NDArray[np.int64]
    position: NDArray[np.int64]


def draw_schedule(rng: np.random.Generator, plan: SimulationPlan, learners: Learners) -> Schedule:
    """Draw how many sessions each learner has, how long they are, and when they begin."""
    size = _sizes(rng, learners.ids.size, plan.answers)
    start_us = _starts(rng, plan, learners, size > 0)
    numbers = np.broadcast_to(np.arange(size.shape[1]), size.shape)
    session = np.repeat(numbers.ravel(), size.ravel()).reshape(-1, plan.answers)
    before = np.cumsum(size, axis=1) - size
    position = np.arange(plan.answers) - np.take_along_axis(before, session, axis=1)
    return Schedule(size, start_us, session, position)


def _sizes(rng: np.random.Generator, n_users: int, answers: int) -> NDArray[np.int64]:
    """Draw the answers of each session; rows add up to `answers` (n_users, n_sessions)."""
    if answers < MIN_SESSION_ANSWERS:
        return np.full((n_users, 1), answers)
    fewest, most = -(-answers // MAX_SESSION_ANSWERS), answers // MIN_SESSION_ANSWERS
    count = rng.integers(fewest, most + 1, n_users)
    exists = np.arange(most) < count[:, None]
    # Each session has five answers; the others go to places drawn among those still free in all of them.
    room = MAX_SESSION_ANSWERS - MIN_SESSION_ANSWERS
    keys = np.where(np.repeat(exists, room, axis=1), rng.random((n_users, most * room)), 2.0)
    rank = keys.argsort(axis=1).argsort(axis=1)
    is_taken = rank < (answers - MIN_SESSION_ANSWERS * count)[:, None]
    extra = is_taken.reshape(n_users, most, room).sum(axis=2)
    return np.asarray(exists * MIN_SESSION_ANSWERS + extra, np.int64)


def _starts(
    rng: np.random.Generator, plan: SimulationPlan, learners: Learners, exists: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Draw when each session begins: different slots of the learner's days, in order (n_users, n_sessions).

    The smallest of exponential keys divided by weights are a weighted draw without
    replacement (Efraimidis & Spirakis, 2006).
    """
    n_users = exists.shape[0]
    day = np.repeat(np.arange(plan.days), SLOTS_A_DAY)
    keys = rng.standard_exponential((n_users, day.size)) / np.tile(SLOT_WEIGHTS, plan.days)
    keys[(day < learners.first_day[:, None]) | (day > learners.last_day[:, None])] = np.inf
    at_end = np.flatnonzero(learners.is_there_at_end)
    slot_of_day = rng.choice(np.arange(SLOTS_A_DAY), at_end.size, p=SLOT_WEIGHTS / SLOT_WEIGHTS.sum())
    keys[at_end, day.size - SLOTS_A_DAY + slot_of_day] = 0.0
    drawn = keys.argsort(axis=1)[:, : exists.shape[1]]
    slot = np.sort(np.where(exists, drawn, day.size), axis=1)
    start = (slot // SLOTS_A_DAY) * DAY_US + (slot % SLOTS_A_DAY) * SLOT_US
    return np.asarray(start + rng.integers(0, LATEST_START_US, start.shape), np.int64)
