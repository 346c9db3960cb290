"""Which items a calibration leaves out: rules stated once, each with its reason in words."""

from dataclasses import dataclass

import numpy as np

from seedtest.irt.compiled import kernels
from seedtest.irt.em import EmFit, maximise_items
from seedtest.irt.exclusions import ALL_RIGHT, ALL_WRONG, Exclusion, ExclusionKind
from seedtest.irt.parameters import BoolArray, FloatArray, IntArray, ItemParameters
from seedtest.irt.priors import PriorTable
from seedtest.irt.responses import Responses
from seedtest.irt.rows import Answers
from seedtest.irt.sweep import Sweep

LOWEST_DISCRIMINATION = 0.05
"""Below this an item says nothing about ability, and b = −d/a loses its meaning."""

LARGEST_DIFFICULTY = 10.0
"""No learner of a standard normal population comes near ±10; such a b is an artefact of a flat curve."""

UNANSWERED = "no answer to a calibrated item"
"""Why a learner is left out."""

ANSWERS_TO_JUDGE = 30
"""Answers from which on an item under a prior can be found to discriminate negatively."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """Which items stay, (n_items,), and why the others do not."""

    keep: BoolArray
    exclusions: tuple[Exclusion, ...]


def screen(answers: Answers, counts: IntArray, min_responses: int, is_anchor: BoolArray) -> Verdict:
    """Leave out, before the fit, items that no model can place.

    Too few answers; all of them right or all wrong (difficulty at ∓∞); or only answers of learners who
    answered no other item that is left (nothing tells what the item discriminates). Anchors are placed
    already. `counts` holds wrong and right answers, (n_items, 2).
    """
    n, right = counts.sum(axis=1), counts[:, 1]
    varied = (n >= min_responses) & (right > 0) & (right < n) | is_anchor
    reasons = {
        f"fewer than {min_responses} answers": n < min_responses,
        ALL_RIGHT: right == n,
        ALL_WRONG: right == 0,
        "its learners answered no other item": ~_answered_among_others(answers, varied),
    }
    placed = {reason: applies & ~is_anchor for reason, applies in reasons.items()}
    unused = {"an anchor without answers": is_anchor & (n == 0)}
    return _verdict(answers.item_ids, n, unused | placed)


def judge(item_ids: tuple[str, ...], n: IntArray, sweep: Sweep, em: EmFit) -> Verdict:
    """Leave out, after the fit, items whose estimates are no measurement.

    - Discrimination negative or below 0.05, or run off to the bound of 10.
    - Difficulty beyond ±10 standard deviations of ability.
    - Lower asymptote run off to the bound of 0.95.

    A prior keeps a above zero whatever the answers say. So an item under a prior is judged, from 30
    answers on, by the discrimination that one M-step without prior gives. In simulations of 300 learners
    and items of about 30 answers this finds 9 of 10 reversed items and 1 in 60 sound ones; with
    fewer answers it would find mostly noise.
    """
    a, d, logit_c = em.state.params.T
    b = np.divide(-d, a, out=np.zeros_like(a), where=a != 0)
    by_answers = _without_priors(sweep, em)
    thin = em.design.priors.applies & (n < ANSWERS_TO_JUDGE)
    judged = np.where(thin, a, np.minimum(a, by_answers))
    slope, intercept, guessing = em.design.is_free.T
    estimation = kernels("estimation")
    reasons = {
        "discrimination is negative": slope & (judged < 0),
        f"discrimination is below {LOWEST_DISCRIMINATION}": slope & (judged < LOWEST_DISCRIMINATION),
        f"discrimination ran off to the bound of {estimation.LARGEST_SLOPE:g}": slope
        & (a >= estimation.LARGEST_SLOPE),
        f"difficulty is beyond ±{LARGEST_DIFFICULTY:g}": intercept
        & (np.abs(b - em.state.mean) > LARGEST_DIFFICULTY * max(1.0, em.state.sd)),
        "lower asymptote ran off to the bound of 0.95": guessing & (logit_c >= estimation.HIGHEST_LOGIT_C),
    }
    return _verdict(item_ids, n, reasons)


def plausible(items: ItemParameters) -> BoolArray:
    """Whether parameters lie where `judge` lets estimates be, (n_items,); not if they are NaN."""
    discriminates = (items.a >= LOWEST_DISCRIMINATION) & (items.a < kernels("estimation").LARGEST_SLOPE)
    return np.asarray(discriminates & (np.abs(items.b) <= LARGEST_DIFFICULTY))


def unanswered(responses: Responses, calibrated: Responses) -> tuple[Exclusion, ...]:
    """Learners of whose answers none is to a calibrated item."""
    if responses.n_users == calibrated.n_users:
        return ()
    n = np.diff(responses.start)
    left = set(calibrated.user_ids)
    return tuple(
        Exclusion(ExclusionKind.USER, user_id, UNANSWERED, int(count))
        for user_id, count in zip(responses.user_ids, n, strict=True)
        if user_id not in left
    )


def count_blocks(answers: Answers) -> int:
    """Count groups of items that no chain of common learners connects."""
    parent = np.arange(answers.n_items)
    for block in answers.blocks(1):
        rows = block.load()
        kernels("counting").join_blocks(rows.start, rows.code, parent)
    return np.unique(parent).size


def _answered_among_others(answers: Answers, considered: BoolArray) -> BoolArray:
    """Whether a learner who answered the item answered another of the items considered, (n_items,)."""
    among = np.zeros(answers.n_items, dtype=np.bool_)
    for block in answers.blocks(1):
        rows = block.load()
        kernels("counting").mark_accompanied(rows.start, rows.code, considered, among)
    return among


def _without_priors(sweep: Sweep, em: EmFit) -> FloatArray:
    """Discriminations after one M-step without priors, (n_items,); with none, those of the fit."""
    if not em.design.priors.applies.any():
        return em.state.params[:, 0]
    free = PriorTable.none(len(em.state.params))
    return maximise_items(sweep, em.design, em.state, em.expectation, free)[:, 0]


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
