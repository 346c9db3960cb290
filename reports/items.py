"""Items by difficulty: those a learner answered, and those that are about right to go on with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from reports.bank import Bank
from reports.model import AnsweredItem, CandidateItem, Items
from seedtest.irt import probability
from seedtest.irt.parameters import FloatArray, IndexArray

TARGET = 0.7
"""The chance of success at which an item is about right: hard enough to learn from, and not to give up on."""
TOLERANCE = 0.1
"""How far from it an item may be."""
MOST_CANDIDATES = 20
MOST_STARTERS = 3


def items_of(
    rows: Sequence[Mapping[str, Any]], theta: float | None, topic_ids: Iterable[str], bank: Bank
) -> Items:
    """Return the answered items and, with θ known, those about right among the items of these topics.

    `rows` are those of `measures.item_rows`; items without parameters are left out.
    """
    calibrated = [row for row in rows if row["item"] >= 0]
    at = np.array([row["item"] for row in calibrated], dtype=np.int32)
    expected = [None] * len(calibrated) if theta is None else expected_at(bank, at, theta).tolist()
    answered = [
        AnsweredItem(
            item_id=row["item_id"],
            topic_id=row["topic_id"],
            **_parameters(bank, row["item"]),
            expected=chance,
            answered_at=row["answered_at"],
            correct=row["correct"],
            n_answers=row["n_answers"],
        )
        for row, chance in zip(calibrated, expected, strict=True)
    ]
    answered.sort(key=lambda item: (item.b, item.item_id))
    candidates = () if theta is None else _candidates(bank, at, theta, topic_ids)
    return Items(tuple(answered), candidates)


def starters(bank: Bank, rows: Sequence[Mapping[str, Any]], topic_id: str, theta: float) -> tuple[str, ...]:
    """Return a few items of a topic that are about right at the θ in it, and not answered lately."""
    answered = np.array([row["item"] for row in rows], dtype=np.int32)
    at, _ = _about_right(bank, _not_answered(bank, answered, [topic_id]), theta, MOST_STARTERS)
    return tuple(bank.items.item_ids[i] for i in at)


def expected_at(bank: Bank, at: IndexArray, theta: float) -> FloatArray:
    """P(correct | θ) of the items at these places, (n_at,)."""
    return probability(bank.items.take(at), np.array([theta]))[:, 0]


def _candidates(
    bank: Bank, answered: IndexArray, theta: float, topic_ids: Iterable[str]
) -> tuple[CandidateItem, ...]:
    at, expected = _about_right(bank, _not_answered(bank, answered, topic_ids), theta, MOST_CANDIDATES)
    return tuple(
        CandidateItem(
            item_id=bank.items.item_ids[i],
            topic_id=bank.topic_ids[i],
            **_parameters(bank, i),
            expected=chance,
        )
        for i, chance in zip(at.tolist(), expected.tolist(), strict=True)
    )


def _not_answered(bank: Bank, answered: IndexArray, topic_ids: Iterable[str]) -> IndexArray:
    parts = [bank.by_topic[topic_id] for topic_id in set(topic_ids) if topic_id in bank.by_topic]
    of_topics = np.concatenate(parts) if parts else np.array([], dtype=np.int32)
    return np.setdiff1d(of_topics, answered)


def _about_right(bank: Bank, at: IndexArray, theta: float, most: int) -> tuple[IndexArray, FloatArray]:
    """Return the places and chances of the items nearest to the target; of equally near ones the first id."""
    expected = expected_at(bank, at, theta)
    distance = np.abs(expected - TARGET)
    nearest = np.argsort(distance, kind="stable")
    nearest = nearest[distance[nearest] <= TOLERANCE][:most]
    return at[nearest], expected[nearest]


def _parameters(bank: Bank, at: int) -> dict[str, float]:
    return {name: float(getattr(bank.items, name)[at]) for name in ("a", "b", "c")}
