"""Whether items and learners hang together: only then do their estimates share one scale."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seedtest.irt.compiled import kernels
from seedtest.irt.parameters import IndexArray
from seedtest.irt.rows import Answers, Rows

LISTED = 3
"""Parts and items that a message names."""


@dataclass(frozen=True, slots=True)
class Component:
    """Items connected by common learners, and those learners' number and answers."""

    item_ids: tuple[str, ...]
    n_users: int
    n_answers: int


@dataclass(frozen=True, slots=True)
class Connectivity:
    """The parts that answers fall into.

    Attributes
    ----------
    components
        The parts, that with the most answers first; items without answers are parts of their own.
    message
        What it means, for a person.
    """

    components: tuple[Component, ...]
    message: str

    @property
    def is_connected(self) -> bool:
        """Whether all items are on one scale."""
        return len(self.components) <= 1


def connectivity(answers: Answers) -> Connectivity:
    """Find the parts that answers fall into, without a fit.

    Two items are connected if a learner answered both; a part is what chains of such items reach. Items of
    different parts are comparable only as far as their learners are alike, which nothing in the data
    tells: both groups are given the ability distribution N(0, 1).
    """
    parts = _parts(answers)
    n_parts = int(parts.max(initial=-1)) + 1
    n_users, n_answers = np.zeros(n_parts, dtype=np.int64), np.zeros(n_parts, dtype=np.int64)
    for rows in _loaded(answers):
        lengths = np.diff(rows.start)
        first = rows.code[rows.start[:-1][lengths > 0]] >> 1
        n_users += np.bincount(parts[first], minlength=n_parts)
        n_answers += np.bincount(parts[first], lengths[lengths > 0], n_parts).astype(np.int64)
    order = np.argsort(-n_answers, kind="stable")
    members = np.split(
        np.argsort(parts, kind="stable"), np.cumsum(np.bincount(parts, minlength=n_parts))[:-1]
    )
    components = tuple(
        Component(tuple(answers.item_ids[i] for i in members[at]), int(n_users[at]), int(n_answers[at]))
        for at in order
    )
    return Connectivity(components, _message(components))


def _loaded(answers: Answers) -> Iterator[Rows]:
    for block in answers.blocks(1):
        yield block.load()


def _parts(answers: Answers) -> IndexArray:
    """Return the number of each item's part, (n_items,)."""
    root = np.arange(answers.n_items, dtype=np.int64)
    for rows in _loaded(answers):
        kernels("counting").join_blocks(rows.start, rows.code, root)
    return np.unique(root, return_inverse=True)[1].astype(np.int32)


def _message(components: tuple[Component, ...]) -> str:
    if len(components) <= 1:
        return "All items are connected by common learners: one scale."
    listed = "; ".join(
        f"{len(part.item_ids)} items ({', '.join(part.item_ids[:LISTED])}"
        f"{', …' if len(part.item_ids) > LISTED else ''}) with {part.n_users} learners"
        for part in components[:LISTED]
    )
    return (
        f"The items fall into {len(components)} parts without a common learner: {listed}"
        f"{'; …' if len(components) > LISTED else ''}. Difficulties and abilities of different parts are "
        "comparable only as far as their learners are alike. Calibrate the parts apart, or have some "
        "learners answer items of both."
    )
