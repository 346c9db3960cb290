"""Calibration: rules, estimation and abilities put together."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import expit

from seedtest.errors import CalibrationError
from seedtest.irt.design import Design, ItemModel, Wishes
from seedtest.irt.em import EmFit, Progress, Stopping, fit
from seedtest.irt.exclusions import Exclusion
from seedtest.irt.linking import LinkingConstants
from seedtest.irt.parameters import (
    STANDARD_NORMAL,
    Abilities,
    BoolArray,
    IntArray,
    ItemParameters,
    Prior,
)
from seedtest.irt.priors import THIN_ITEM_PRIORS, ItemPriors
from seedtest.irt.quadrature import DEFAULT_N_NODES, normal_grid
from seedtest.irt.responses import Responses
from seedtest.irt.results import Calibration
from seedtest.irt.rows import Rows, item_counts, threads_for
from seedtest.irt.rules import count_blocks, judge, plausible, screen, unanswered
from seedtest.irt.scoring import Scorer
from seedtest.irt.standard_errors import (
    ErrorKind,
    ItemCovariance,
    common_slope_errors,
    item_covariance,
    parameter_errors,
    wished_kind,
)
from seedtest.irt.stored import AnyResponses, StoredResponses
from seedtest.irt.sweep import Sweep

logger = logging.getLogger(__name__)

MIN_NODES = 11
MIN_ITEMS = 3
"""Two items have three free cells of right and wrong, fewer than the four parameters of a 2PL."""

DEFAULT_TOLERANCE: Final = 1e-6


def calibrate(  # noqa: PLR0913 - the options of a calibration, all by keyword
    responses: AnyResponses,
    *,
    model: str = "2PL",
    item_models: Mapping[str, str] | None = None,
    anchors: ItemParameters | None = None,
    start: ItemParameters | None = None,
    n_nodes: int = DEFAULT_N_NODES,
    max_iterations: int = 2000,
    tolerance: float = DEFAULT_TOLERANCE,
    min_responses: int = 5,
    item_priors: ItemPriors | None = THIN_ITEM_PRIORS,
    free_variance: bool = True,
    warn_of_blocks: bool = True,
    errors: ErrorKind | str | None = None,
    n_threads: int | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Estimate items by marginal maximum likelihood and abilities by EAP.

    Maximises Σ_u log ∫ Π P(answer | θ) φ(θ) dθ, plus the log density of the item priors, by accelerated EM;
    missing answers are missing by design. Repeated answers of a learner to an item count as independent.

    The scale is that of N(0, 1) ability, with two exceptions: a Rasch model's (a = 1, ability N(0, σ²)
    with σ estimated), and the anchors' (ability N(μ, σ²), both estimated).

    Items are left out before the fit by `rules.screen`, after it by `rules.judge`; in the latter case
    the others are estimated again, from where they stood, until every item left passes. A learner is
    left out only without an answer to any calibrated item: who got everything right, or wrong, has a
    finite EAP.

    Parameters
    ----------
    responses
        Answers. The result depends on them and not on their order, to the last bit. Of stored answers
        the abilities are not kept: `StoredResponses.abilities` gives them block by block, and learners
        without an answer to a calibrated item are not listed.
    model
        `Rasch`, `1PL` (the same model on the N(0, 1) scale, with one a for all), `2PL` or `3PL`.
    item_models
        Items, by id, that have another model: Rasch, 2PL or 3PL. Next to others, Rasch items have a = 1 and
        ability stays N(0, 1).
    anchors
        Items, by id, whose parameters are held. Those without answers are left out with the reason.
    start
        Starting values by item id; items without one, or with one that the rules would not let pass,
        start at a = 1. They decide how long the fit takes, not where it ends (within `tolerance`).
    n_nodes
        Nodes of the even grid over ±6 standard deviations of ability, at least 11.
    max_iterations
        Most EM steps of one fit. A fit that is cut off there is returned as not converged.
    tolerance
        The fit has converged when an EM step changes no slope, intercept, logit c, mean or log standard
        deviation by more (logits).
    min_responses
        Answers an item needs, at least 2.
    item_priors
        Priors on items with few answers and on lower asymptotes (see `ItemPriors`); None: none at all.
    free_variance
        Whether a model of Rasch items alone estimates the variance of ability; else it is 1.
    warn_of_blocks
        Whether to log a warning where items fall into blocks without a common learner; a caller that has
        looked at them before (see `connectivity`) need not be told again.
    errors
        Standard errors: `full`, `block` or `none` (see `ErrorKind`); None: the kind that the data call for.
    n_threads
        Threads (default: all processors). The last bits of the result depend on their number.
    progress
        Called as progress(iteration, loglik, change) after every EM step.

    Returns
    -------
    Calibration
        Standard errors are those of `standard_errors.item_covariance`, under a prior those of the
        posterior mode, and NaN if none were wished for; `error_kind` names the kind. `aic` and `bic` count
        the free parameters, with or without prior.

    Raises
    ------
    CalibrationError
        For an unknown model or a senseless option, no responses, or too few usable items.
    """
    _require_sense(n_nodes, max_iterations, tolerance, min_responses)
    usable_start = None if start is None else start.select(plausible(start))
    kind = wished_kind(errors)
    wishes = Wishes.checked(
        model, item_models, anchors, usable_start, item_priors, free_variance=free_variance
    )
    if len(responses) == 0:
        raise CalibrationError("There are no responses to calibrate on.")
    sample = _Sample.screened(responses, wishes, min_responses)
    stopping = Stopping(max_iterations, tolerance, progress)
    run = _Run(kind, n_nodes, threads_for(len(responses), n_threads), stopping)
    n_blocks = count_blocks(sample.responses)
    if n_blocks > 1 and warn_of_blocks:
        logger.warning(
            "The items fall into %d blocks without a common learner: their scales are comparable only "
            "as far as the blocks' learners are alike",
            n_blocks,
        )
    fitted = run.until_sound(sample, n_blocks)
    _log(fitted)
    return fitted.calibration(wishes, _users_out(responses, fitted.sample.responses))


@dataclass(frozen=True, eq=False)
class _Sample:
    """The answers to the items still in, what is estimated from them, and the items that are out."""

    responses: AnyResponses
    design: Design
    n: IntArray
    exclusions: tuple[Exclusion, ...]

    @classmethod
    def screened(cls, responses: AnyResponses, wishes: Wishes, min_responses: int) -> "_Sample":
        """Apply the rules that need no fit."""
        counts = item_counts(responses)
        is_anchor = wishes.is_anchor(responses)
        verdict = screen(responses, counts, min_responses, is_anchor)
        kept = responses.select_items(verdict.keep)
        wishes.require_anchors(kept)
        _require_items(
            int((verdict.keep & ~is_anchor).sum()), verdict.exclusions, anchored=bool(is_anchor.any())
        )
        design = wishes.design(kept, counts[verdict.keep])
        return cls(kept, design, counts.sum(axis=1)[verdict.keep], verdict.exclusions)


@dataclass(frozen=True, eq=False)
class _Run:
    """How samples are fitted."""

    errors: ErrorKind | None
    n_nodes: int
    n_threads: int
    stopping: Stopping

    def until_sound(self, sample: _Sample, n_blocks: int) -> "_Fitted":
        """Fit, leave out items that fail `judge`, and fit again from the others' last parameters."""
        iterations = 0
        while True:
            blocks = sample.responses.blocks(self.n_threads)
            grid = normal_grid(n_nodes=self.n_nodes)
            with Sweep(blocks, sample.n.size, grid, self.n_threads) as sweep:
                em = fit(sweep, sample.design, self.stopping, iterations)
                iterations += em.n_iterations
                verdict = judge(sample.responses.item_ids, sample.n, sweep, em)
                if verdict.keep.all():
                    covariance = item_covariance(sweep, em, self.errors)
                    return _Fitted(sample, em, covariance, iterations, n_blocks, self.n_threads)
            logger.info("%d items fail after the fit; fitting the others again", len(verdict.exclusions))
            sample = _without(sample, em, verdict.keep, verdict.exclusions)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """The last fit, the sample it rests on, and the iterations of all fits."""

    sample: _Sample
    em: EmFit
    covariance: ItemCovariance
    n_iterations: int
    n_blocks: int
    n_threads: int

    def calibration(self, wishes: Wishes, users_out: tuple[Exclusion, ...]) -> Calibration:
        responses, em, design = self.sample.responses, self.em, self.sample.design
        items = self._items(wishes)
        prior = Prior(em.state.mean, em.state.sd)
        loglik, k = em.expectation.loglik, design.n_parameters
        free = Calibration(
            model=str(wishes.model),
            item_models=tuple(str(model) for model in design.models),
            items=items,
            abilities=_abilities(responses, Scorer(items, prior), self.n_threads),
            exclusions=self.sample.exclusions + users_out,
            prior=prior,
            loglik=loglik,
            log_prior=em.log_prior,
            aic=2 * k - 2 * loglik,
            bic=float(k * np.log(responses.n_users)) - 2 * loglik,
            n_parameters=k,
            n_iterations=self.n_iterations,
            converged=em.converged,
            criterion=em.criterion,
            n_observations=len(responses),
            n_blocks=self.n_blocks,
            error_kind=self.covariance.kind,
        )
        if wishes.model is not ItemModel.ONE_PL:
            return free
        standard = free.linked(LinkingConstants(1 / prior.sd, 0.0))
        models = (str(ItemModel.ONE_PL),) * len(items)
        errors = common_slope_errors(self.covariance, em)
        items = replace(standard.items, se_a=errors.a, se_b=errors.b)
        return replace(standard, items=items, item_models=models, prior=STANDARD_NORMAL)

    def _items(self, wishes: Wishes) -> ItemParameters:
        a, d, logit_c = self.em.state.params.T
        ids, design = self.sample.responses.item_ids, self.sample.design
        errors = parameter_errors(self.covariance, self.em)
        free = ItemParameters.from_values(ids, a, -d / a, expit(logit_c), n=self.sample.n)
        items = replace(free, se_a=errors.a, se_b=errors.b, se_c=errors.c)
        return items if wishes.anchors is None else items.with_values_of(wishes.anchors, design.is_anchor)


def _without(sample: _Sample, em: EmFit, keep: BoolArray, exclusions: tuple[Exclusion, ...]) -> _Sample:
    responses = sample.responses.select_items(keep)
    out = sample.exclusions + exclusions
    anchored = sample.design.is_anchor
    _require_items(int((keep & ~anchored).sum()), out, anchored=bool(anchored.any()))
    return _Sample(responses, sample.design.select(keep, em.state.params), sample.n[keep], out)


def _users_out(responses: AnyResponses, calibrated: AnyResponses) -> tuple[Exclusion, ...]:
    if isinstance(responses, Responses) and isinstance(calibrated, Responses):
        return unanswered(responses, calibrated)
    return ()


def _abilities(responses: AnyResponses, scorer: Scorer, n_threads: int) -> Abilities:
    if isinstance(responses, StoredResponses):
        return Abilities((), np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    scores = scorer.rows(Rows(responses.start, responses.code), n_threads)
    return Abilities(responses.user_ids, scores.theta, scores.se, scores.n)


def _require_items(n_left: int, exclusions: tuple[Exclusion, ...], *, anchored: bool) -> None:
    # With anchors alone the ability distribution is still to be estimated, and every learner's ability.
    if anchored or n_left >= MIN_ITEMS:
        return
    reasons = Counter(exclusion.reason for exclusion in exclusions)
    listed = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(5))
    raise CalibrationError(
        f"No model can be fitted to {n_left} usable items; {MIN_ITEMS} are needed. "
        f"Items left out: {listed or 'none'}. Gather more answers or lower the minimum."
    )


def _require_sense(n_nodes: int, max_iterations: int, tolerance: float, min_responses: int) -> None:
    complaints = {
        f"{n_nodes} nodes are too few; use {MIN_NODES} or more": n_nodes < MIN_NODES,
        f"max_iterations is {max_iterations}; allow at least 1": max_iterations < 1,
        f"tolerance is {tolerance}; it must be above 0": not tolerance > 0,
        f"min_responses is {min_responses}; an item needs at least 2": min_responses < 2,
    }
    for complaint, applies in complaints.items():
        if applies:
            raise CalibrationError(f"Cannot calibrate: {complaint}.")


def _log(fitted: _Fitted) -> None:
    em, responses = fitted.em, fitted.sample.responses
    level = logging.INFO if em.converged else logging.WARNING
    logger.log(
        level,
        "EM %s after %d iterations (last step %.1e): %d items, %d learners, log-likelihood %.3f",
        "converged" if em.converged else "did not converge",
        fitted.n_iterations,
        em.criterion,
        responses.n_items,
        responses.n_users,
        em.expectation.loglik,
    )
