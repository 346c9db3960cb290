"""Which items a calibration leaves out: rules stated once, each with its reason in words."""

from dataclasses import dataclass

import numpy as np

from seedtest.irt.em import EmFit
from seedtest.irt.exclusions import Exclusion, ExclusionKind
from seedtest.irt.maximisation import LARGEST_SLOPE, maximise
from seedtest.irt.parameters import BoolArray, IntArray, ItemParameters
from seedtest.irt.priors import Penalty
from seedtest.irt.responses import Responses

LOWEST_DISCRIMINATION = 0.05
"""Below this an item says nothing about ability, and b = −d/a loses its meaning."""

LARGEST_DIFFICULTY = 10.0
"""No learner of a standard normal population comes near ±10; such a b is an artefact of a flat curve."""

ANSWERS_TO_JUDGE = 30
"""Answers from which on an item under a prior can be found to discriminate negatively."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """Which items stay, (n_items,), and why the others do not."""

    keep: BoolArray
    exclusions: tuple[Exclusion, ...]


def screen(responses: Responses, min_responses: int) -> Verdict:
    """Leave out, before the fit, items that no model can place.

    Too few answers; all of them right or all wrong (difficulty at ∓∞); or only answers of learners who
    answered no other item that is left (nothing tells what the item discriminates).
    """
    n_items = len(responses.item_ids)
    n = np.bincount(responses.item, minlength=n_items)
    right = np.bincount(responses.item[responses.correct], minlength=n_items)
    varied = (n >= min_responses) & (right > 0) & (right < n)
    reasons = {
        f"fewer than {min_responses} answers": n < min_responses,
        "all answers are right": right == n,
        "all answers are wrong": right == 0,
        "its learners answered no other item": ~_answered_among_others(responses, varied),
    }
    return _verdict(responses.item_ids, n, reasons)


def judge(item_ids: tuple[str, ...], n: IntArray, fit: EmFit, penalty: Penalty) -> Verdict:
    """Leave out, after the fit, items whose estimates are no measurement.

    - Discrimination negative or below 0.05, or run off to the bound of 10.
    - Difficulty beyond ±10.

    A prior keeps a above zero whatever the answers say. So an item under a prior is judged, from 30
    answers on, by the discrimination that one M-step without prior gives. In simulations of 300 learners
    and items of about 30 answers this finds 9 of 10 reversed items and 1 in 60 sound ones; with
    fewer answers it would find mostly noise.
    """
    a, d = fit.lines.T
    b = np.divide(-d, a, out=np.zeros_like(a), where=a != 0)
    by_answers = maximise(fit.expectation.counts, fit.grid.nodes, fit.lines, Penalty.for_items(None, n))[:, 0]
    judged = np.where(penalty.applies & (n < ANSWERS_TO_JUDGE), a, np.minimum(a, by_answers))
    reasons = {
        "discrimination is negative": judged < 0,
        f"discrimination is below {LOWEST_DISCRIMINATION}": judged < LOWEST_DISCRIMINATION,
        f"discrimination ran off to the bound of {LARGEST_SLOPE:g}": a >= LARGEST_SLOPE,
        f"difficulty is beyond ±{LARGEST_DIFFICULTY:g}": np.abs(b) > LARGEST_DIFFICULTY,
    }
    return _verdict(item_ids, n, reasons)


def plausible(items: ItemParameters) -> BoolArray:
    """Whether parameters lie where `judge` lets estimates be, (n_items,); not if they are NaN."""
    discriminates = (items.a >= LOWEST_DISCRIMINATION) & (items.a < LARGEST_SLOPE)
    return np.asarray(discriminates & (np.abs(items.b) <= LARGEST_DIFFICULTY))


def unanswered(responses: Responses, calibrated: Responses) -> tuple[Exclusion, ...]:
    """Learners of whose answers none is to a calibrated item."""
    n = np.bincount(responses.user, minlength=len(responses.user_ids))
    left = set(calibrated.user_ids)
    return tuple(
        Exclusion(ExclusionKind.USER, user_id, "no answer to a calibrated item", int(count))
        for user_id, count in zip(responses.user_ids, n, strict=True)
        if user_id not in left
    )


def _answered_among_others(responses: Responses, considered: BoolArray) -> BoolArray:
    """Whether a learner who answered the item answered another of the items considered, (n_items,)."""
    n_items = len(responses.item_ids)
    user, item = np.divmod(np.unique(responses.user.astype(np.int64) * n_items + responses.item), n_items)
    breadth = np.bincount(user[considered[item]], minlength=len(responses.user_ids))
    among = np.zeros(n_items, dtype=np.bool_)
    among[item[breadth[user] > 1]] = True
    return among


def _verdict(item_ids: tuple[str, ...], n: IntArray, reasons: dict[str, BoolArray]) -> Verdict:
    """Exclude an item for the first of the reasons that applies to it."""
    faults = np.stack(list(reasons.values()))
    texts = tuple(reasons)
    out = faults.any(axis=0)
    exclusions = tuple(
        Exclusion(ExclusionKind.ITEM, item_ids[at], texts[faults[:, at].argmax()], int(n[at]))
        for at in np.flatnonzero(out)
    )
    return Verdict(np.logical_not(out), exclusions)
