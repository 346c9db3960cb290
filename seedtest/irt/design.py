"""What a calibration estimates: the model of each item, what is held, and the role of ability's scale."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.special import logit

from seedtest.errors import CalibrationError
from seedtest.irt.parameters import BoolArray, FloatArray, IntArray, ItemParameters
from seedtest.irt.priors import ItemPriors, PriorTable
from seedtest.irt.rows import Answers

START_C = 0.15
"""Where the lower asymptote of a 3PL item starts."""


class ItemModel(StrEnum):
    """Item response models; each is P = c + (1 − c)·logistic(a(θ − b)) with less or more of it free.

    Rasch: a = 1, c = 0. 1PL: one a for all items, c = 0. 2PL: a and b. 3PL: a, b and c.
    """

    RASCH = "Rasch"
    ONE_PL = "1PL"
    TWO_PL = "2PL"
    THREE_PL = "3PL"


MODELS: Final = tuple(str(model) for model in ItemModel)


class Role(StrEnum):
    """What becomes of the mean or the standard deviation of ability in an M-step.

    HELD: it stays. FREE: it is a parameter of the model. EXPANDED: it is estimated and at once absorbed by
    the items, which changes no likelihood but takes EM a longer step (Liu, Rubin & Wu, 1998).
    """

    HELD = "held"
    FREE = "free"
    EXPANDED = "expanded"


@dataclass(frozen=True, eq=False)
class Design:
    """The parameters of a fit.

    Attributes
    ----------
    models
        Model of each item, (n_items,).
    is_anchor
        Whether an item's parameters are held at known values, (n_items,).
    is_free
        Whether slope, intercept and logit c are estimated, (n_items, 3).
    start
        Slope a, intercept d = −ab and logit c (−inf: c = 0) to start from, (n_items, 3).
    priors
        Priors on the items.
    mean, sd
        Roles of ability's mean and standard deviation.
    """

    models: tuple[ItemModel, ...]
    is_anchor: BoolArray
    is_free: BoolArray
    start: FloatArray
    priors: PriorTable
    mean: Role
    sd: Role

    @property
    def n_parameters(self) -> int:
        """Free parameters: the items' and the ability distribution's."""
        return int(self.is_free.sum()) + (self.mean is Role.FREE) + (self.sd is Role.FREE)

    def select(self, keep: BoolArray, start: FloatArray) -> "Design":
        """Only the items where `keep` is true, starting anew; `start` and `keep` are of all items."""
        return replace(
            self,
            models=tuple(model for model, kept in zip(self.models, keep, strict=True) if kept),
            is_anchor=self.is_anchor[keep],
            is_free=self.is_free[keep],
            start=start[keep],
            priors=self.priors.select(keep),
        )


@dataclass(frozen=True, eq=False)
class Wishes:
    """What the caller of a calibration asked for, item by item where it matters."""

    model: ItemModel
    item_models: Mapping[str, ItemModel]
    anchors: ItemParameters | None
    start: ItemParameters | None
    priors: ItemPriors | None
    free_variance: bool

    @classmethod
    def checked(
        cls,
        model: str,
        item_models: Mapping[str, str] | None,
        anchors: ItemParameters | None,
        start: ItemParameters | None,
        priors: ItemPriors | None,
        *,
        free_variance: bool,
    ) -> "Wishes":
        """Take the caller's words, or say which of them no calibration knows."""
        others = {item_id: _known(name, item_id) for item_id, name in (item_models or {}).items()}
        base = _known(model)
        if ItemModel.ONE_PL in others.values() or (base is ItemModel.ONE_PL and (others or anchors)):
            raise CalibrationError(
                "Cannot calibrate: 1PL gives all items one discrimination, so it mixes with no other model "
                "and no anchors. Use Rasch for items whose discrimination is 1."
            )
        if anchors is not None and not plausible_anchors(anchors).all():
            bad = anchors.item_ids[int(np.flatnonzero(~plausible_anchors(anchors))[0])]
            raise CalibrationError(
                f"Anchor {bad!r} has parameters that are not finite with a > 0 and 0 <= c < 1. Leave it out."
            )
        return cls(base, others, anchors, start, priors, free_variance)

    def model_of(self, item_id: str) -> ItemModel:
        """Return the model an item is fitted by: for a 1PL the Rasch model, rescaled afterwards."""
        model = self.item_models.get(item_id, self.model)
        return ItemModel.RASCH if model is ItemModel.ONE_PL else model

    def is_anchor(self, answers: Answers) -> BoolArray:
        """Whether an item's parameters are held, (n_items,)."""
        if self.anchors is None:
            return np.zeros(answers.n_items, dtype=np.bool_)
        return np.asarray(self.anchors.index_of(answers.item_ids) >= 0)

    def require_anchors(self, answers: Answers) -> None:
        """Raise unless an anchor was answered, if anchors are wished for."""
        if self.anchors is not None and not self.is_anchor(answers).any():
            raise CalibrationError(
                f"None of the {len(self.anchors)} anchors has an answer: nothing ties the fit to their "
                "scale. Calibrate without anchors, or gather answers to them."
            )

    def design(self, answers: Answers, counts: IntArray) -> Design:
        """Lay out the parameters of a fit to these responses; wrong and right answers are (n_items, 2)."""
        models = tuple(self.model_of(item_id) for item_id in answers.item_ids)
        n = counts.sum(axis=1)
        rasch = np.array([model is ItemModel.RASCH for model in models], dtype=np.bool_)
        three = np.array([model is ItemModel.THREE_PL for model in models], dtype=np.bool_)
        is_free = np.stack([~rasch, np.ones_like(rasch), three], axis=1)
        start = _first_guess(counts, three)
        _adopt(start, self.start, answers, is_free)
        # The logit of a known c = 0 is no place to start from: no step leads away from −∞.
        start[three & np.isneginf(start[:, 2]), 2] = logit(START_C)
        is_anchor = self.is_anchor(answers)
        _adopt(start, self.anchors, answers, np.ones_like(is_free))
        is_free[is_anchor] = False
        priors = PriorTable.of(self.priors, n, is_free)
        mean, sd = self._roles(is_free, anchored=bool(is_anchor.any()))
        return Design(models, is_anchor, is_free, start, priors, mean, sd)

    def _roles(self, is_free: BoolArray, *, anchored: bool) -> tuple[Role, Role]:
        if anchored:
            return Role.FREE, Role.FREE
        if is_free[:, 0].all():
            return Role.EXPANDED, Role.EXPANDED
        all_rasch = not is_free[:, 0].any()
        return Role.EXPANDED, Role.FREE if all_rasch and self.free_variance else Role.HELD


def plausible_anchors(anchors: ItemParameters) -> BoolArray:
    """Whether parameters can be held, (n_items,)."""
    finite = np.isfinite(anchors.a) & np.isfinite(anchors.b) & np.isfinite(anchors.c)
    return np.asarray(finite & (anchors.a > 0) & (anchors.c >= 0) & (anchors.c < 1))


def to_params(items: ItemParameters) -> FloatArray:
    """Slope a, intercept −ab and logit c, (n_items, 3)."""
    return np.stack([items.a, -items.a * items.b, logit(items.c)], axis=1)


def _known(name: str, item_id: str | None = None) -> ItemModel:
    try:
        return ItemModel(name)
    except ValueError as error:
        of = "" if item_id is None else f" of item {item_id!r}"
        raise CalibrationError(
            f"Cannot calibrate: model {name!r}{of} is not supported; choose {', '.join(MODELS)}."
        ) from error


def _first_guess(counts: IntArray, three: BoolArray) -> FloatArray:
    """Slope 1 and the logit of the share right, for 3PL items of the share above guessing."""
    share = (counts[:, 1] + 0.5) / (counts.sum(axis=1) + 1)
    beyond = np.maximum((share - START_C) / (1 - START_C), 0.02)
    logit_c = np.where(three, logit(START_C), -np.inf)
    return np.stack([np.ones(share.size), logit(np.where(three, beyond, share)), logit_c], axis=1)


def _adopt(start: FloatArray, known: ItemParameters | None, answers: Answers, adopted: BoolArray) -> None:
    """Put known parameters in place where they are adopted, (n_items, 3)."""
    if known is None:
        return
    at = known.index_of(answers.item_ids)
    there = at >= 0
    lines = to_params(known)[at[there]]
    if not adopted[there].all():
        lines[:, 0] = np.where(adopted[there, 0], lines[:, 0], start[there, 0])
        lines[:, 1] = -lines[:, 0] * known.b[at[there]]
        lines[:, 2] = np.where(adopted[there, 2], lines[:, 2], start[there, 2])
    start[there] = lines
