"""A calibration of files in numbers: what `fit.json` holds."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl

from seedtest.irt import Calibration, ExclusionKind
from seedtest.irt.rows import repeated_answers
from seedtest.irt.rules import UNANSWERED
from seedtest.irt.stored import AnyResponses


@dataclass(frozen=True, slots=True)
class Spread:
    """Least, middle and greatest of some values."""

    least: float
    median: float
    greatest: float


@dataclass(frozen=True, slots=True)
class FitSummary:
    """What `fit.json` holds.

    Attributes
    ----------
    model, error_kind
        Item response model, and where standard errors come from (full or block).
    loglik, log_prior, aic, bic, n_parameters
        As in `Calibration`.
    n_iterations, converged, criterion
        How the fit ended.
    seconds
        Duration of the fit, without reading and writing.
    n_users, n_items, n_observations
        Learners, items and answers that the estimates rest on.
    n_anchors
        Items whose parameters were held.
    n_repeated
        Answers of a learner to an item that the learner had answered before; each counts as an answer.
    prior_mean, prior_sd
        Ability distribution on the scale of the items; `score` takes them.
    reliability
        Of the abilities: var(theta) / (var(theta) + mean(se²)).
    spreads
        Of items' a, b, c and se_b, and of learners' theta and se.
    connectivity
        Whether all items are on one scale, in words.
    exclusions
        Items and learners left out, counted by kind and reason.
    """

    model: str
    error_kind: str
    loglik: float
    log_prior: float
    aic: float
    bic: float
    n_parameters: int
    n_iterations: int
    converged: bool
    criterion: float
    seconds: float
    n_users: int
    n_items: int
    n_observations: int
    n_anchors: int
    n_repeated: int
    prior_mean: float
    prior_sd: float
    reliability: float
    spreads: dict[str, Spread]
    connectivity: str
    exclusions: dict[str, dict[str, int]]


@dataclass(frozen=True, eq=False)
class Tables:
    """What is written of a calibration."""

    items: pl.DataFrame
    abilities: pl.DataFrame

    def spreads(self) -> dict[str, Spread]:
        """Return how the estimates spread, by column; without those that have no value."""
        columns = {name: self.items[name] for name in ("a", "b", "c", "se_b")}
        columns |= {name: self.abilities[name] for name in ("theta", "se")}
        known = {name: column.drop_nulls().to_numpy() for name, column in columns.items()}
        return {
            name: Spread(*np.quantile(values, [0.0, 0.5, 1.0]).tolist())
            for name, values in known.items()
            if values.size
        }

    def reliability(self) -> float:
        """Return the share of true variance in the abilities' variance."""
        theta, se = self.abilities["theta"].to_numpy(), self.abilities["se"].to_numpy()
        between, within = float(np.var(theta)), float(np.mean(se**2))
        return between / (between + within)


def summarise(
    fit: Calibration, answers: AnyResponses, tables: Tables, seconds: float, connected: str
) -> FitSummary:
    """Sum a calibration up; `connected` says whether its items are on one scale."""
    flags = tables.items["flags"].str.starts_with("anchor")
    return FitSummary(
        model=fit.model,
        error_kind=str(fit.error_kind),
        loglik=fit.loglik,
        log_prior=fit.log_prior,
        aic=fit.aic,
        bic=fit.bic,
        n_parameters=fit.n_parameters,
        n_iterations=fit.n_iterations,
        converged=fit.converged,
        criterion=fit.criterion,
        seconds=round(seconds, 4),
        n_users=len(tables.abilities),
        n_items=len(fit.items),
        n_observations=fit.n_observations,
        n_anchors=int(flags.sum()),
        n_repeated=repeated_answers(answers),
        prior_mean=fit.prior.mean,
        prior_sd=fit.prior.sd,
        reliability=tables.reliability(),
        spreads=tables.spreads(),
        connectivity=connected,
        exclusions=_exclusions(fit, answers.n_users - len(tables.abilities)),
    )


def _exclusions(fit: Calibration, n_unscored: int) -> dict[str, dict[str, int]]:
    items = Counter(one.reason for one in fit.exclusions if one.kind is ExclusionKind.ITEM)
    # Fits to stored answers do not list learners, who may be millions.
    users = {UNANSWERED: n_unscored} if n_unscored else {}
    return {str(ExclusionKind.ITEM): dict(items.most_common()), str(ExclusionKind.USER): users}
