"""A calibration as a person reads it: facts and tables for the artifacts."""

import numpy as np
import polars as pl

from seedtest.calibration import Outcome
from seedtest.scale import displacement


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
        "linking constants": outcome.constants_text,
        "reason": outcome.published.reason or "none",
        "convergence": outcome.convergence_text,
        "log-likelihood": f"{fit.loglik:.3f}",
        "mean θ of the learners": f"{fit.abilities.theta.mean():.3f}",
        "ability distribution": f"N({fit.prior.mean:.3f}, {fit.prior.sd:.3f}²)",
        "fit": f"{outcome.seconds:.2f} s",
    } | spread


def item_table(outcome: Outcome) -> pl.DataFrame:
    """Return a row an item: parameters, standard errors and answers."""
    items = outcome.published.calibration.items
    columns = {name: getattr(items, name) for name in ("a", "b", "c", "se_a", "se_b", "n")}
    return pl.DataFrame({"item_id": list(items.item_ids), **columns}).fill_nan(None)


def exclusion_table(outcome: Outcome) -> pl.DataFrame:
    """Return a row an item or learner that the fit left out."""
    rows = [
        {"kind": str(e.kind), "id": e.id, "reason": e.reason, "answers": e.n}
        for e in outcome.published.calibration.exclusions
    ]
    schema = {"kind": pl.String, "id": pl.String, "reason": pl.String, "answers": pl.Int64}
    return pl.DataFrame(rows, schema=schema)


def linking_table(outcome: Outcome) -> pl.DataFrame:
    """Return the items that carried the linking: difficulty before and now, displacement in logits."""
    used, reference = outcome.published.linking.used_ids, outcome.published.reference
    now = outcome.published.calibration.items
    return pl.DataFrame(
        {
            "item_id": list(used),
            "b_reference": reference.b[reference.index_of(used)],
            "b_now": now.b[now.index_of(used)],
            "displacement": displacement(outcome.published),
        },
        schema_overrides={"item_id": pl.String},
    )
