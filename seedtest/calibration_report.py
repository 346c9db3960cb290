"""A calibration as a person reads it: facts and tables for the artifacts."""

from typing import Final

import numpy as np
import polars as pl

from seedtest.calibration import Outcome
from seedtest.irt import Connectivity, ExclusionKind, ItemModel, LinkingMethod
from seedtest.irt.connectivity import LISTED
from seedtest.scale import Scale

SCALE_ADVICE: Final = {
    Scale.OWN: "Its θ cannot be compared with that of other versions. Two or more anchors that are in use "
    "and agree make a scale that lasts: check their keys and parameters.",
    Scale.LAST_FIT: "It is on the scale of the last fit instead, and errors add up from fit to fit: put two "
    "or more anchors on the tests.",
    Scale.ANCHORS: "Check the anchors' keys and parameters.",
}


def facts(outcome: Outcome) -> dict[str, str]:
    """Return everything else worth reading."""
    fit = outcome.published.calibration
    quartiles = (0.0, 0.25, 0.5, 0.75, 1.0)
    spread = {
        name: " · ".join(f"{value:.2f}" for value in np.quantile(values, quartiles))
        for name, values in (
            ("discrimination a (min, quartiles, max)", fit.items.a),
            ("difficulty b (min, quartiles, max)", fit.items.b),
            ("ability θ (min, quartiles, max)", fit.abilities.theta),
        )
        if len(values)
    }
    return {
        "version of the scale": f"{outcome.published.version}, by {outcome.published.scale}",
        "in force": "yes" if outcome.reach().in_force else "no: a newer or wider fit is",
        "linking": outcome.published.method,
        "linking constants": outcome.constants_text,
        "parts without a common learner": _parts_text(outcome.answers.connectivity),
        "reason": outcome.published.reason or "none",
        "convergence": outcome.convergence_text,
        "log-likelihood": f"{fit.loglik:.3f}",
        "mean θ of the learners": f"{fit.abilities.theta.mean():.3f}",
        "ability distribution": f"N({fit.prior.mean:.3f}, {fit.prior.sd:.3f}²)",
        "fit": f"{outcome.seconds:.2f} s",
    } | spread


def doubts(outcome: Outcome) -> list[str]:
    """Return what speaks against trusting the fit as it is, and what to do about it."""
    published, found = outcome.published, []
    if not published.calibration.converged:
        found.append(_unconverged(outcome))
    if published.reason:
        scale = f"Scale {published.version} ({published.scale}): {published.reason}"
        found.append(f"{scale}. {SCALE_ADVICE[published.scale]}")
    used = published.linking.used_ids
    guessed = [
        item_id
        for item_id, c in zip(used, published.reference.c[published.reference.index_of(used)], strict=True)
        if c > 0
    ]
    by_difficulty = published.linking.method in (LinkingMethod.MEAN_SIGMA, LinkingMethod.MEAN_MEAN)
    if guessed and by_difficulty and published.calibration.model != ItemModel.THREE_PL:
        found.append(
            f"{len(guessed)} items that carried the linking, such as {guessed[0]}, have a lower asymptote, "
            f"and a {published.calibration.model} has none: their difficulties mean different things. "
            "Choose MIRT_MODEL=3PL, or MIRT_LINKING=fixed, haebara or stocking-lord."
        )
    return found


def warnings(outcome: Outcome) -> list[str]:
    """Return all that speaks against trusting the fit: the doubts, and that its answers fall apart."""
    parts = outcome.answers.connectivity
    return doubts(outcome) + ([] if parts.is_connected else [parts.message])


def _unconverged(outcome: Outcome) -> str:
    if outcome.published.calibration.n_iterations == 0:
        return "The engine does not say that the fit converged. Ask its logs before you trust the numbers."
    return (
        f"The fit {outcome.convergence_text}: its parameters, errors and abilities are provisional. Raise "
        "MIRT_MAX_ITERATIONS (of an IRT service: its own limit); if that does not help, look at the items to "
        "review, or choose a simpler MIRT_MODEL."
    )


def _parts_text(found: Connectivity) -> str:
    """Return the number of parts and their sizes, the largest first."""
    if found.is_connected:
        return "none: all items are connected"
    listed = ", ".join(f"{len(part.item_ids):,}" for part in found.components[:LISTED])
    more = ", …" if len(found.components) > LISTED else ""
    return f"{len(found.components):,} parts, of {listed}{more} items"


def item_table(outcome: Outcome) -> pl.DataFrame:
    """Return a row an item: model, parameters, standard errors, answers, and the part it belongs to (1 …)."""
    fit, parts = outcome.published.calibration, outcome.answers.connectivity.components
    names = ("a", "b", "c", "se_a", "se_b", "se_c", "n")
    part_of = {item_id: number for number, part in enumerate(parts, start=1) for item_id in part.item_ids}
    columns = {
        "item_id": list(fit.items.item_ids),
        "model": list(fit.item_models),
        **{name: getattr(fit.items, name) for name in names},
        "part": [part_of.get(item_id) for item_id in fit.items.item_ids],
    }
    text = {"item_id": pl.String, "model": pl.String, "part": pl.Int64}
    return pl.DataFrame(columns, schema_overrides=text).fill_nan(None)


def exclusion_table(outcome: Outcome) -> pl.DataFrame:
    """Return a row an item that the fit left out, and a row for all learners left out for one reason."""
    schema = {"kind": pl.String, "id": pl.String, "reason": pl.String, "answers": pl.Int64}
    rows = [(str(e.kind), e.id, e.reason, e.n) for e in outcome.published.calibration.exclusions]
    # Whoever may look at artifacts need not know learners.
    learners = pl.col("kind") == str(ExclusionKind.USER)
    return (
        pl.DataFrame(rows, schema=schema, orient="row")
        .group_by("kind", "reason", pl.when(~learners).then("id").alias("id"), maintain_order=True)
        .agg(number=pl.len(), answers=pl.col("answers").sum())
        .select("kind", "id", "number", "reason", "answers")
    )


def linking_table(outcome: Outcome) -> pl.DataFrame:
    """Return the items that the linking compared: difficulty before and now, and whether it kept them.

    `b_now`, `displacement` = b_now − b_reference and its standard error are in logits. Of held anchors,
    `b_now` is that of the free fit which checked them.
    """
    published = outcome.published
    stability = {one.item_id: one for one in published.linking.stability}
    ids = list(stability) or list(published.linking.used_ids)
    reference, now = published.reference, published.compared
    b_reference, b_now = reference.b[reference.index_of(ids)], now.b[now.index_of(ids)]
    seen = [stability.get(item_id) for item_id in ids]
    return pl.DataFrame(
        {
            "item_id": ids,
            "b_reference": b_reference,
            "b_now": b_now,
            "displacement": b_now - b_reference,
            "error": [one and one.error for one in seen],
            "robust_z": [one and one.robust_z for one in seen],
            "kept": [one and one.kept for one in seen],
            "drifts": [one and one.drifts for one in seen],
        },
        schema_overrides={
            "item_id": pl.String,
            "error": pl.Float64,
            "robust_z": pl.Float64,
            "kept": pl.Boolean,
            "drifts": pl.Boolean,
        },
    )
