"""What is to be looked at in the item bank: the calibration's own review, made from what is stored.

The fit itself is not made again. Anchors are compared on the published scale, which leaves their
displacements as the linking saw them; statistics of answers are those of the fit's days as they are now.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from sqlalchemy.engine import Connection

from reports.bank import Bank
from reports.operator_pages.fits import FitRecord
from seedtest.calibration import Answers, CalibrationPlan, load_answers
from seedtest.db.attempts import Scope
from seedtest.db.calibrations import (
    PARAMETER_COLUMNS,
    PARAMETER_SCHEMA,
    USABLE,
    Seeds,
    item_parameters,
    load_seeds,
)
from seedtest.db.frames import read_frame
from seedtest.irt import (
    Exclusion,
    ExclusionKind,
    ItemParameters,
    Linking,
    LinkingConstants,
    LinkingMethod,
    link,
    linked_elsewhere,
)
from seedtest.irt.fit import classical_statistics, mean_squares
from seedtest.irt.rows import item_counts
from seedtest.irt.rules import screen
from seedtest.item_review import WAITING, Evidence, review
from seedtest.scale import FIXED, Scale
from seedtest.settings import Settings

ITEMS_OF_RUN = (
    f"SELECT item_id, {PARAMETER_COLUMNS.format(params='params')} FROM mirt_item_params_history"
    " WHERE run_id = %(run_id)s"
)
AFTER_THE_FIT = "its estimate was no measurement; “Left out by the fit” counts the reasons"
NO_CHANGE = LinkingConstants(1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Compared:
    """Difficulties of the fit in force against those that carried its linking.

    Attributes
    ----------
    now, reference
        The same items in the same order, on the published scale.
    linking
        How they stand to each other.
    is_anchors
        Whether the reference are the anchors; else items of the fit before.
    is_held
        Whether the fit held the anchors at their reference: there is nothing to compare then.
    """

    now: ItemParameters
    reference: ItemParameters
    linking: Linking
    is_anchors: bool
    is_held: bool

    @cached_property
    def used(self) -> frozenset[str]:
        """Ids of the items that carry the linking."""
        return frozenset(self.linking.used_ids)

    @cached_property
    def drifting(self) -> frozenset[str]:
        """Ids of the items whose difficulty changed by more than the rule allows."""
        return frozenset(one.item_id for one in self.linking.stability if one.drifts)


@dataclass(frozen=True, eq=False)
class Review:
    """Items to look at: `flags` as `seedtest.item_review` lists them, but for those with too few answers."""

    flags: pl.DataFrame
    n_waiting: int
    n_answers: int
    compared: Compared | None


def review_bank(
    connection: Connection, bank: Bank, fit: FitRecord, before: FitRecord | None, settings: Settings
) -> Review:
    """Review the items of the fit in force; `before` is the one before it on the same scale."""
    own = _items_of(connection, fit.run_id)
    last = _items_of(connection, before.run_id) if before else own.select(np.zeros(len(own), dtype=np.bool_))
    compared = _compared(own, load_seeds(connection), last, fit)
    answers = load_answers(connection, _plan(fit, settings))
    flags = review(_evidence(bank, own, last, compared, answers))
    waiting = pl.col("detail").str.starts_with(WAITING)
    return Review(
        flags=flags.filter(~waiting),
        n_waiting=flags.filter(waiting)["item_id"].n_unique(),
        n_answers=len(answers.responses),
        compared=compared,
    )


def _items_of(connection: Connection, run_id: str) -> ItemParameters:
    rows = read_frame(connection, ITEMS_OF_RUN, PARAMETER_SCHEMA, {"run_id": run_id})
    return item_parameters(rows.filter(USABLE))


def _plan(fit: FitRecord, settings: Settings) -> CalibrationPlan:
    """Return which answers the fit saw, by its record; by the settings where that is silent."""
    last_day = fit.last_day or fit.fitted_at.date()
    plan = CalibrationPlan.from_settings(settings, last_day)
    scope = Scope(fit.first_day or plan.scope.first_day, last_day)
    repeats = fit.repeats or plan.repeats
    return replace(plan, scope=scope, repeats=repeats)


def _compared(own: ItemParameters, seeds: Seeds, last: ItemParameters, fit: FitRecord) -> Compared | None:
    is_anchors = bool(np.any(seeds.anchors.index_of(own.item_ids) >= 0)) and fit.scale != Scale.LAST_FIT
    reference = seeds.anchors if is_anchors else last
    here = own.select(reference.index_of(own.item_ids) >= 0)
    if not len(here):
        return None
    there, is_held = reference.take(reference.index_of(here.item_ids)), fit.method == FIXED
    if fit.method in set(LinkingMethod):
        linking = link(here, there, str(fit.method))
    else:
        linking = linked_elsewhere(here, there, NO_CHANGE)
    return Compared(here, there, linking, is_anchors, is_held)


def _evidence(
    bank: Bank, own: ItemParameters, last: ItemParameters, compared: Compared | None, answers: Answers
) -> Evidence:
    linking = compared.linking if compared and compared.is_anchors and not compared.is_held else None
    answered = set(answers.responses.item_ids)
    return Evidence(
        items=own,
        prior=bank.prior,
        last=last,
        exclusions=tuple(_exclusions(answers, own)),
        dropped_anchors=linking.dropped if linking else (),
        stability=tuple(one for one in linking.stability if one.item_id in answered) if linking else (),
        connectivity=answers.connectivity,
        classical=classical_statistics(answers.responses),
        mean_squares=mean_squares(answers.responses, replace(bank, items=own)),
    )


def _exclusions(answers: Answers, own: ItemParameters) -> Iterator[Exclusion]:
    """Yield the answered items that the fit has no parameters of, and why as far as the answers tell."""
    responses, counts = answers.responses, item_counts(answers.responses)
    is_anchor = answers.seeds.anchors.index_of(responses.item_ids) >= 0
    screened = screen(responses, counts, answers.plan.min_responses, is_anchor).exclusions
    reasons = {one.id: one for one in screened}
    for item_id, at, n in zip(
        responses.item_ids, own.index_of(responses.item_ids), counts.sum(axis=1).tolist(), strict=True
    ):
        if at < 0:
            yield reasons.get(item_id, Exclusion(ExclusionKind.ITEM, item_id, AFTER_THE_FIT, n))
