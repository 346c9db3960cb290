"""A calibration as the review of its items and the verdict on the fit see it."""

import numpy as np
import polars as pl

from seedtest.calibration import Outcome
from seedtest.irt import ItemParameters
from seedtest.irt.fit import classical_statistics, mean_squares
from seedtest.item_review import Evidence, review


def review_table(outcome: Outcome) -> pl.DataFrame:
    """Return a row for each item of a calibration and reason to look at it."""
    return review(evidence(outcome))


def evidence(outcome: Outcome) -> Evidence:
    """Return what is known of the items: the fit, the last one, the linking, and the answers that counted.

    Costs one more expectation step and one pass over the answers: of 4 million, 0.3 s of one core and
    30 MB, as long as `Answers.responses` is there from the check of connectivity.
    """
    published, answers = outcome.published, outcome.answers
    anchors = set(answers.seeds.anchors.item_ids)
    return Evidence(
        items=published.calibration.items,
        prior=published.calibration.prior,
        last=last_on_this_scale(outcome),
        exclusions=published.calibration.exclusions,
        dropped_anchors=tuple(one for one in published.linking.dropped if one.id in anchors),
        stability=tuple(one for one in published.linking.stability if one.item_id in anchors),
        connectivity=answers.connectivity,
        classical=classical_statistics(answers.responses),
        mean_squares=mean_squares(answers.responses, published.calibration),
    )


def last_on_this_scale(outcome: Outcome) -> ItemParameters:
    """Return the items of the last fit, if its numbers mean the same; else none."""
    last = outcome.answers.last
    if last.version == outcome.published.version:
        return last.items
    return last.items.select(np.zeros(len(last.items), dtype=np.bool_))
