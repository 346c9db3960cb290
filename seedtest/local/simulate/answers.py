"""What the learners answer: θ that grows with practice and fades between sessions, 2PL, times, hints."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from seedtest.local.simulate.bank import ItemBank
from seedtest.local.simulate.learners import Learners
from seedtest.local.simulate.schedule import DAY_US, Schedule

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Of what is left to gain, an answer brings this share; of what was gained, a day takes this share.
LEARNING_RATE = 0.03
HALF_LIFE_DAYS = 45.0

REPEAT_SHARE = 0.05
REPEAT_WITHIN_US = 28 * DAY_US
REPEATS_FROM = 1 / 3

LOG_MS = math.log(30_000.0)
# An item near the learner's ability takes longest; gains make faster; the rest is noise.
LOG_MS_AT_ABILITY, LOG_MS_PER_GAIN, LOG_MS_SD = 0.4, -0.3, 0.35
MIN_MS, MAX_MS = 1_500.0, 240_000.0
MISSING_TIME_SHARE = 0.03
OUTLIER_SHARE, OUTLIER_MINUTES = 0.01, (20.0, 90.0)
PAUSE_MS = (1_000, 15_000)

LOG_HINTS, LOG_HINTS_PER_LOGIT, MAX_HINTS = -1.6, 0.8, 3
NO_HINTS_SESSION_SHARE = 0.1


@dataclass(frozen=True)
class Answers:
    """Answers of some learners, arrays (n_users, n_answers); NaN or −1 where the platform did not record."""

    item: Integers
    is_repeat: NDArray[np.bool_]
    theta: Floats
    correct: NDArray[np.bool_]
    response_time_ms: Floats
    hints: Integers
    answered_us: Integers


def draw_answers(rng: np.random.Generator, bank: ItemBank, learners: Learners, schedule: Schedule) -> Answers:
    """Draw everything about the answers of a schedule; repeats of missed items are drawn last."""
    item = _fresh_items(rng, bank.a.size, *schedule.session.shape)
    gain = _gain(learners.growth, schedule)
    chance = rng.random(item.shape)
    is_correct = chance < _probability(bank, item, _theta(learners, bank, item, gain))
    item, is_repeat = _repeat_missed(rng, item, is_correct, schedule)
    theta = _theta(learners, bank, item, gain)
    is_correct = chance < _probability(bank, item, theta)
    distance = theta - bank.b[item]
    spent_ms = _spent_ms(rng, learners, gain, distance, bank.log_time[item])
    return Answers(
        item=item,
        is_repeat=is_repeat,
        theta=theta,
        correct=is_correct,
        response_time_ms=_recorded_ms(rng, spent_ms),
        hints=_hints(rng, distance, schedule),
        answered_us=_answered_us(rng, spent_ms, schedule),
    )


def _fresh_items(rng: np.random.Generator, n_items: int, n_users: int, n_answers: int) -> Integers:
    """Draw items without replacement; who answers more than there are begins anew (n_users, n_answers)."""
    rounds = -(-n_answers // n_items)
    order = rng.random((n_users, rounds, n_items), np.float32).argsort(axis=2)
    return order.reshape(n_users, -1)[:, :n_answers]


def _gain(growth: Floats, schedule: Schedule) -> Floats:
    """Return what each learner has gained before each answer, in logits (n_users, n_answers).

    Within a session, gain_j = growth − (growth − gain_0)·(1 − rate)^j; between sessions it halves
    every `HALF_LIFE_DAYS`.
    """
    at_start = np.zeros(schedule.size.shape)
    days = (schedule.start_us[:, 1:] - schedule.start_us[:, :-1]) / DAY_US
    for session in range(1, schedule.size.shape[1]):
        left = (1.0 - LEARNING_RATE) ** schedule.size[:, session - 1]
        at_end = growth - (growth - at_start[:, session - 1]) * left
        at_start[:, session] = at_end * 0.5 ** (days[:, session - 1] / HALF_LIFE_DAYS)
    begun = np.take_along_axis(at_start, schedule.session, axis=1)
    return growth[:, None] - (growth[:, None] - begun) * (1.0 - LEARNING_RATE) ** schedule.position


def _theta(learners: Learners, bank: ItemBank, item: Integers, gain: Floats) -> Floats:
    offset = np.take_along_axis(learners.topic_offset, bank.topic[item], axis=1)
    return learners.ability[:, None] + offset + gain


def _probability(bank: ItemBank, item: Integers, theta: Floats) -> Floats:
    """P(correct | θ) = logistic(a(θ − b)), answer by answer (n_users, n_answers)."""
    return np.asarray(expit(bank.a[item] * (theta - bank.b[item])))


def _repeat_missed(
    rng: np.random.Generator, item: Integers, is_correct: NDArray[np.bool_], schedule: Schedule
) -> tuple[Integers, NDArray[np.bool_]]:
    """Let a few later answers return to an item missed in an earlier session of the last 28 days."""
    n_users, n_answers = item.shape
    start = np.take_along_axis(schedule.start_us, schedule.session, axis=1)
    later = np.arange(int(n_answers * REPEATS_FROM), n_answers)
    places = np.sort(rng.choice(later, min(later.size, int(n_answers * REPEAT_SHARE)), replace=False))
    item, is_repeat = item.copy(), np.zeros(item.shape, bool)
    missed = ~is_correct
    missed[:, places] = False
    rows = np.arange(n_users)
    for place in places:
        since = start[:, place, None] - start
        keys = np.where(missed & (since > 0) & (since <= REPEAT_WITHIN_US), rng.random(item.shape), -1.0)
        origin = keys.argmax(axis=1)
        found = keys[rows, origin] >= 0
        item[found, place] = item[rows[found], origin[found]]
        is_repeat[:, place] = found
        missed[rows[found], origin[found]] = False
    return item, is_repeat


def _spent_ms(
    rng: np.random.Generator, learners: Learners, gain: Floats, distance: Floats, log_time: Floats
) -> Floats:
    """Draw lognormal times, longest where ability and difficulty meet (n_users, n_answers)."""
    near = LOG_MS_AT_ABILITY * np.exp(-0.5 * distance**2)
    mean = LOG_MS + log_time - learners.log_pace[:, None] + near + LOG_MS_PER_GAIN * gain
    return np.clip(np.exp(mean + rng.normal(0.0, LOG_MS_SD, gain.shape)), MIN_MS, MAX_MS).round()


def _recorded_ms(rng: np.random.Generator, spent_ms: Floats) -> Floats:
    """Return the times as the platform has them: some missing, some of a page left open."""
    kind = rng.random(spent_ms.shape)
    left_open_ms = (rng.uniform(*OUTLIER_MINUTES, spent_ms.shape) * 60_000.0).round()
    with_outliers = np.where(kind < OUTLIER_SHARE, left_open_ms, spent_ms)
    return np.where(kind > 1.0 - MISSING_TIME_SHARE, np.nan, with_outliers)


def _hints(rng: np.random.Generator, distance: Floats, schedule: Schedule) -> Integers:
    """Draw hints, more on harder items; −1 in the sessions of clients that do not report them."""
    rate = np.exp(LOG_HINTS - LOG_HINTS_PER_LOGIT * np.clip(distance, -3.0, 3.0))
    hints = np.minimum(rng.poisson(rate), MAX_HINTS)
    unknown = rng.random(schedule.size.shape) < NO_HINTS_SESSION_SHARE
    return np.where(np.take_along_axis(unknown, schedule.session, axis=1), -1, hints)


def _answered_us(rng: np.random.Generator, spent_ms: Floats, schedule: Schedule) -> Integers:
    """Return when each answer was given, from the plan's first day (n_users, n_answers)."""
    step_ms = spent_ms.astype(np.int64) + rng.integers(*PAUSE_MS, spent_ms.shape)
    total_ms = np.cumsum(step_ms, axis=1)
    first = np.where(schedule.position == 0, np.arange(spent_ms.shape[1]), 0)
    first_of_session = np.maximum.accumulate(first, axis=1)
    elapsed_ms = total_ms - np.take_along_axis(total_ms - step_ms, first_of_session, axis=1)
    start_us = np.take_along_axis(schedule.start_us, schedule.session, axis=1)
    return np.asarray(start_us + elapsed_ms * 1000, np.int64)
