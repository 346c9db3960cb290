"""A calibration's pictures, each with what it shows, what to look for, and words in its place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from seedtest import calibration_figures as figures
from seedtest.calibration import Outcome
from seedtest.calibration_review import last_on_this_scale
from seedtest.irt import Calibration, ItemParameters
from seedtest.irt.calibration import DEFAULT_TOLERANCE
from seedtest.irt.common_items import common_items
from seedtest.irt.parameters import FloatArray
from seedtest.scale import Scale

LARGEST_CHANGES = 10
SMALLEST_CHANGE = 0.001
"""Logits; less is how exactly a fit ends."""


@dataclass(frozen=True)
class Picture:
    """A picture on a page, or why there is none.

    Attributes
    ----------
    title, shows, look_for
        Heading, what is seen, and what a psychometrician looks for in it.
    alt
        The picture in words, for whoever cannot see it.
    png
        The image; None where there is nothing to draw.
    table
        Numbers below it.
    """

    title: str
    shows: str
    look_for: str = ""
    alt: str = ""
    png: bytes | None = None
    table: pl.DataFrame | None = None


def pictures(outcome: Outcome) -> tuple[Picture, ...]:
    """Return what there is to see of a calibration; nothing of a single learner."""
    return distributions(outcome), linking(outcome), convergence(outcome), comparison(outcome)


def distributions(outcome: Outcome) -> Picture:
    """Parameters and abilities."""
    fit = outcome.published.calibration
    return Picture(
        "Parameters and abilities",
        "How discrimination, difficulty and ability are distributed on the published scale; the line is the "
        "ability distribution that the fit estimated or assumed.",
        "difficulties that cover the abilities; heaps at an edge; abilities that stray from the line.",
        f"Histograms of {_spread('discrimination', fit.items.a)}, {_spread('difficulty', fit.items.b)}; "
        f"of the abilities of {len(fit.abilities):,} learners, mean {fit.abilities.theta.mean():.2f}.",
        figures.png(figures.distributions(fit.items, fit.abilities, fit.prior)),
    )


def linking(outcome: Outcome) -> Picture:
    """Difficulties of the items that the linking compared, old against new."""
    published = outcome.published
    of_anchors = published.reference is outcome.answers.seeds.anchors
    title = "Anchors, old against new" if of_anchors else "Items of the last fit, old against new"
    pair, _ = common_items(published.free, published.reference)
    if not len(pair):
        return Picture(title, f"No item to compare: {published.reason or 'none is common'}.")
    used, constants = set(published.linking.used_ids), published.linking.constants
    kept = np.array([item_id in used for item_id in pair.free.item_ids])
    dropped = [item_id for item_id, is_kept in zip(pair.free.item_ids, kept, strict=True) if not is_kept]
    image = figures.png(figures.linking(pair.free, pair.reference, kept, constants, _labels(outcome)))
    named = f" {_labels(outcome)[1].capitalize()}: {_listed(dropped)}." if dropped else ""
    return Picture(
        title,
        _linking_shows(outcome) + named,
        "points off the line of the others by more than their error bar: the item changed, or is given "
        "differently now.",
        f"{len(pair)} items, difficulty in this fit against the reference; {int(kept.sum())} "
        f"{_labels(outcome)[0]}, {len(dropped)} {_labels(outcome)[1]}.",
        image,
    )


def _listed(item_ids: Sequence[str]) -> str:
    more = len(item_ids) - figures.MOST_NAMES
    return ", ".join(item_ids[: figures.MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def _labels(outcome: Outcome) -> tuple[str, str]:
    if outcome.published.is_held:
        return "held", "not held"
    return "used" if outcome.published.linking.constants is not None else "compared", "dropped"


def _linking_shows(outcome: Outcome) -> str:
    published = outcome.published
    if published.is_held:
        return (
            "Reference difficulties against those of the free fit that checked the anchors; those on the "
            "line were then held at their reference."
        )
    if published.linking.constants is None:
        return f"Reference difficulties against those of this fit, not linked: {published.reason}."
    carried = "the anchors" if published.scale is Scale.ANCHORS else "items of the last fit"
    return (
        f"Reference difficulties against those of the free fit; the line is the linking by {carried} "
        f"({published.method}), θ' = slope·θ + intercept."
    )


def convergence(outcome: Outcome) -> Picture:
    """EM steps, where the engine tells them."""
    title, fit = "Convergence", outcome.published.calibration
    verdict = outcome.convergence_text
    if not outcome.steps:
        return Picture(title, f"The engine tells no single steps; it says: {verdict}.")
    criterion = "" if math.isnan(fit.criterion) else f", the last change {fit.criterion:.1e}"
    return Picture(
        title,
        f"The fit {verdict}. EM step by EM step, on the left the log-likelihood, on the right the largest "
        "change of a parameter.",
        "a change that falls below the dashed line. The log-likelihood jumps where items were left out and "
        "the others fitted again, or the anchors held.",
        f"{len(outcome.steps)} EM steps{criterion}, to fall below {DEFAULT_TOLERANCE:g}.",
        figures.png(figures.convergence(outcome.steps, DEFAULT_TOLERANCE)),
    )


def comparison(outcome: Outcome) -> Picture:
    """Parameters against those of the last fit."""
    title, now, last = (
        "Comparison with the last fit",
        outcome.published.calibration,
        last_on_this_scale(outcome),
    )
    if outcome.answers.last.is_first:
        return Picture(title, "This is the first fit.")
    common = last.index_of(now.items.item_ids)
    here, there = now.items.select(common >= 0), last.take(common[common >= 0])
    if not len(here):
        why = "it has no item in common" if len(last) else "it is on another scale"
        return Picture(title, f"The last fit, {outcome.answers.last.run_id}, cannot be compared: {why}.")
    return Picture(
        title,
        f"Discrimination and difficulty in this fit against the last, {outcome.answers.last.run_id}, "
        f"of {len(here):,} common items ({_news(now, last)}).",
        "items off the line: new answers change a parameter by about its standard error, not by several.",
        f"Scatter plots of {len(here):,} items; difficulty changed by {np.abs(here.b - there.b).max():.2f} "
        f"logits at most and correlates {_correlation(here.b, there.b)}.",
        figures.png(figures.comparison(here, there)),
        changes(here, there),
    )


def changes(now: ItemParameters, last: ItemParameters) -> pl.DataFrame:
    """Return the items whose difficulty changed most; both fits hold the same ones in the same order."""
    table = pl.DataFrame(
        {
            "item_id": list(now.item_ids),
            "b_last": last.b,
            "b_now": now.b,
            "change": now.b - last.b,
            # Of a held anchor it is unknown.
            "standard_error": pl.Series(np.hypot(now.se_b, last.se_b)).fill_nan(None),
            "a_last": last.a,
            "a_now": now.a,
            "answers": now.n,
        },
        schema_overrides={"item_id": pl.String},
    )
    table = table.filter(pl.col("change").abs() >= SMALLEST_CHANGE)
    return table.sort(pl.col("change").abs(), descending=True, maintain_order=True).head(LARGEST_CHANGES)


def _news(now: Calibration, last: ItemParameters) -> str:
    new = int((last.index_of(now.items.item_ids) < 0).sum())
    gone = int((now.items.index_of(last.item_ids) < 0).sum())
    return f"{new:,} only in this fit, {gone:,} only in the last"


def _correlation(x: FloatArray, y: FloatArray) -> str:
    if min(np.ptp(x), np.ptp(y)) == 0:
        return "not at all, being constant"
    return f"{np.corrcoef(x, y)[0, 1]:.3f}"


def _spread(name: str, values: FloatArray) -> str:
    low, middle, high = np.quantile(values, (0.0, 0.5, 1.0))
    return f"{name} of {len(values):,} items from {low:.2f} over {middle:.2f} to {high:.2f}"
