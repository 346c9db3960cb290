"""Items that a psychometrician should look at after a calibration, each with the reason and what to do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from seedtest.irt import AnchorStability, ExclusionKind, ItemParameters, Prior
from seedtest.irt.connectivity import Connectivity
from seedtest.irt.exclusions import ALL_RIGHT, ALL_WRONG, Exclusion
from seedtest.irt.fit import ClassicalStatistics, MeanSquares

LOW_DISCRIMINATION = 0.35
"""Below it discrimination is called very low (Baker, 2001)."""

EXTREME_DIFFICULTY = 4.0
"""Standard deviations of ability beyond which hardly a learner is near the item."""

LOW_POINT_BISERIAL = 0.1
"""Below it an item hardly goes along with the rest of the answers (0.2 is wanted: Ebel & Frisbie, 1991)."""

MEAN_SQUARE_RANGE = (0.7, 1.3)
"""Mean squares that are productive for a test of right and wrong answers (Wright & Linacre, 1994)."""

INFIT_SPREAD = 2.0
"""The infit of n answers stays within 1 ± spread/√n by chance (Smith, Schumacker & Bush, 1998).

Outfit is shown beside it and not judged: a few lucky answers to a sound but hard item make it 1.4.
"""

LARGE_CHANGE = 0.5
"""Logits between two fits from which on a change of difficulty matters (Wright & Douglas, 1976)."""

LARGE_CHANGE_Z = 2.7
"""The same in standard errors of the change: one in 140 items passes it by chance."""

FEWEST_ANSWERS = 30
"""Statistics of an item with fewer answers are mostly noise, so these are not flagged."""

SCHEMA: Final = {
    "item_id": pl.String,
    "flag": pl.String,
    "detail": pl.String,
    "what_to_do": pl.String,
    "answers": pl.Int64,
}

WAITING = "fewer than"
"""How the reason of an item with too few answers begins; it is in order, and there may be hundreds."""

ADVICE: Final[Mapping[str, str]] = {
    WAITING: "Wait for more answers, or widen the days of the calibration.",
    ALL_RIGHT: "It measures nobody here: use it as a warm-up, or replace it.",
    ALL_WRONG: "Check the key; if it is right, the item is too hard for these learners.",
    "its learners answered no other item": "Give it together with other items.",
    "discrimination is negative": "Check the key and the wording: better learners fail it more often.",
    "discrimination is below": "Rewrite or retire it: it does not tell learners apart.",
    "discrimination ran off": "Look for copied answers or a repeated question; its answers fit too well.",
    "difficulty is beyond": "Its curve is flat over these learners; rewrite or retire it.",
    "lower asymptote ran off": "Look at the distractors: nearly everybody guesses it.",
    "an anchor without answers": "Put it on this season's tests, or take its anchor tag away.",
}
"""What to do about an item left out, by the beginning of its reason."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One reason to look at one item."""

    item_id: str
    flag: str
    detail: str
    what_to_do: str
    answers: int


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the review looks at.

    Attributes
    ----------
    items, prior
        The new fit, on its published scale.
    last
        Parameters of the last fit on the same scale; empty if there is none.
    exclusions
        What the fit left out.
    dropped_anchors
        Anchors that the linking left out.
    stability
        How far anchors stand from their reference.
    connectivity
        Parts that the answers fall into.
    classical, mean_squares
        Statistics of the answers and of their residuals.
    """

    items: ItemParameters
    prior: Prior
    last: ItemParameters
    exclusions: tuple[Exclusion, ...]
    dropped_anchors: tuple[Exclusion, ...]
    stability: tuple[AnchorStability, ...]
    connectivity: Connectivity
    classical: ClassicalStatistics
    mean_squares: MeanSquares


def review(evidence: Evidence) -> pl.DataFrame:
    """Return a row for each item and reason to look at it, the most serious reasons first."""
    rules = (
        _anchors,
        _drifting,
        _left_out,
        _detached,
        _parameters,
        _classical,
        _misfitting,
        _changed,
        _waiting,
    )
    flags = [flag for rule in rules for flag in rule(evidence)]
    return pl.DataFrame(
        [{name: getattr(flag, name) for name in SCHEMA} for flag in flags], schema=dict(SCHEMA)
    )


def headlines(table: pl.DataFrame) -> list[str]:
    """Return a sentence for each flag and advice of a review: how many items, one of them, what to do."""
    groups = table.group_by("flag", "what_to_do", maintain_order=True).agg(
        pl.col("item_id").n_unique().alias("items"), pl.col("item_id", "detail").first()
    )
    return [
        f"{row['flag'].capitalize()}: {row['items']:,} item{'s, such as' if row['items'] > 1 else ','} "
        f"{row['item_id']} ({row['detail']}). {row['what_to_do']}"
        for row in groups.iter_rows(named=True)
    ]


def _answers(evidence: Evidence) -> dict[str, int]:
    found = evidence.classical
    return dict(zip(found.item_ids, found.n.tolist(), strict=True))


def _left_out(evidence: Evidence) -> Iterator[Flag]:
    for one in evidence.exclusions:
        if one.kind is ExclusionKind.ITEM and not one.reason.startswith(WAITING):
            yield Flag(one.id, "left out", one.reason, _advice(one.reason), one.n)


def _waiting(evidence: Evidence) -> Iterator[Flag]:
    for one in evidence.exclusions:
        if one.kind is ExclusionKind.ITEM and one.reason.startswith(WAITING):
            yield Flag(one.id, "too few answers", one.reason, _advice(one.reason), one.n)


def _advice(reason: str) -> str:
    return next((text for start, text in ADVICE.items() if reason.startswith(start)), "Look at its answers.")


def _anchors(evidence: Evidence) -> Iterator[Flag]:
    for one in evidence.dropped_anchors:
        what = (
            "Find out what changed (wording, exposure, position); if it stays so, take its anchor tag away."
        )
        yield Flag(one.id, "anchor not used", one.reason, what, one.n)


def _drifting(evidence: Evidence) -> Iterator[Flag]:
    """Anchors that passed the rule's bounds and yet carried the linking."""
    answers = _answers(evidence)
    for one in evidence.stability:
        if one.kept and one.drifts:
            where = "below" if one.displacement > 0 else "above"
            detail = (
                f"{abs(one.displacement):.2f} logits {where} its reference, {one.error:.2f} standard error"
            )
            what = "It carried the linking all the same, and bends it: find out what changed; add anchors."
            yield Flag(one.item_id, "anchor drifts", detail, what, answers[one.item_id])


def _detached(evidence: Evidence) -> Iterator[Flag]:
    parts, answers = evidence.connectivity.components, _answers(evidence)
    for number, part in enumerate(parts[1:], start=2):
        detail = f"part {number} of {len(parts)}: {len(part.item_ids)} items, {part.n_users} learners"
        what = "Give some learners items of both parts; until then its difficulty is on a scale of its own."
        for item_id in part.item_ids:
            if part.n_answers:
                yield Flag(item_id, "not connected", detail, what, answers[item_id])


def _parameters(evidence: Evidence) -> Iterator[Flag]:
    items, prior = evidence.items, evidence.prior
    for at in np.flatnonzero(items.a * prior.sd < LOW_DISCRIMINATION):
        detail = f"a = {items.a[at]:.2f}, {items.a[at] * prior.sd:.2f} by standard deviation of ability"
        yield Flag(
            items.item_ids[at],
            "low discrimination",
            detail,
            "Check key and wording; rewrite or retire it.",
            int(items.n[at]),
        )
    distance = (items.b - prior.mean) / prior.sd
    for at in np.flatnonzero(np.abs(distance) > EXTREME_DIFFICULTY):
        kind = "too easy" if distance[at] < 0 else "too hard"
        detail = f"b = {items.b[at]:.2f}, {abs(distance[at]):.1f} standard deviations from the mean learner"
        what = "It measures hardly anybody here; keep it for other learners."
        yield Flag(items.item_ids[at], kind, detail, what, int(items.n[at]))


def _classical(evidence: Evidence) -> Iterator[Flag]:
    found = evidence.classical
    calibrated = evidence.items.index_of(found.item_ids) >= 0
    low = calibrated & (found.n >= FEWEST_ANSWERS) & (found.point_biserial < LOW_POINT_BISERIAL)
    for at in np.flatnonzero(low):
        detail = f"item–rest correlation {found.point_biserial[at]:.2f}, {found.p_value[at]:.0%} right"
        what = "Check key and wording: it hardly goes along with the other answers."
        yield Flag(found.item_ids[at], "low point-biserial", detail, what, int(found.n[at]))


def _misfitting(evidence: Evidence) -> Iterator[Flag]:
    found, (low, high) = evidence.mean_squares, MEAN_SQUARE_RANGE
    by_chance = np.abs(found.infit - 1) <= INFIT_SPREAD / np.sqrt(np.maximum(found.n, 1))
    matters = (found.infit < low) | (found.infit > high)
    for at in np.flatnonzero(matters & ~by_chance & (found.n >= FEWEST_ANSWERS)):
        detail = f"infit {found.infit[at]:.2f}, outfit {found.outfit[at]:.2f}"
        what = "Look at surprising answers: guessing, carelessness, a second right answer."
        yield Flag(found.item_ids[at], "misfit", detail, what, int(found.n[at]))


def _changed(evidence: Evidence) -> Iterator[Flag]:
    items, last = evidence.items, evidence.last
    at_last = last.index_of(items.item_ids)
    common = np.flatnonzero(at_last >= 0)
    was = last.take(at_last[common])
    change = items.b[common] - was.b
    error = np.hypot(items.se_b[common], np.nan_to_num(was.se_b))
    matters = (np.abs(change) > LARGE_CHANGE) & (np.abs(change) > LARGE_CHANGE_Z * error)
    for position in np.flatnonzero(matters):
        at = common[position]
        detail = f"b was {was.b[position]:.2f}, is {items.b[at]:.2f}, {error[position]:.2f} standard error"
        what = "Find out what changed; if it was reworded, give it a new id."
        yield Flag(items.item_ids[at], "difficulty changed", detail, what, int(items.n[at]))
