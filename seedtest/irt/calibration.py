"""Calibration: rules, estimation and abilities put together."""

import logging
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import logit

from seedtest.errors import CalibrationError
from seedtest.irt.answers import AnswerMatrix, answer_matrix
from seedtest.irt.em import EmFit, Progress, Stopping, fit
from seedtest.irt.exclusions import Exclusion
from seedtest.irt.parameters import (
    STANDARD_NORMAL,
    Abilities,
    FloatArray,
    IntArray,
    ItemParameters,
)
from seedtest.irt.priors import THIN_ITEM_PRIORS, ItemPriors, Penalty
from seedtest.irt.quadrature import DEFAULT_N_NODES, Quadrature, normal_grid
from seedtest.irt.responses import Responses
from seedtest.irt.results import Calibration
from seedtest.irt.rules import judge, plausible, screen, unanswered
from seedtest.irt.scoring import score_groups
from seedtest.irt.standard_errors import item_information, parameter_errors

logger = logging.getLogger(__name__)

MODELS: Final = ("2PL",)
MIN_NODES = 11
MIN_ITEMS = 3
"""Two items have three free cells of right and wrong, fewer than the four parameters of a 2PL."""


def calibrate(  # noqa: PLR0913 - the options of a calibration, all by keyword
    responses: Responses,
    *,
    model: str = "2PL",
    start: ItemParameters | None = None,
    n_nodes: int = DEFAULT_N_NODES,
    max_iterations: int = 2000,
    tolerance: float = 1e-6,
    min_responses: int = 5,
    item_priors: ItemPriors | None = THIN_ITEM_PRIORS,
    progress: Progress | None = None,
) -> Calibration:
    """Estimate items by marginal maximum likelihood and abilities by EAP, on the N(0, 1) scale.

    Maximises Σ_u log ∫ Π P(answer | θ) φ(θ) dθ over slopes and intercepts by accelerated EM; missing
    answers are missing by design. Repeated answers of a learner to an item count as independent.

    Items are left out before the fit by `rules.screen`, after it by `rules.judge`; in the latter case
    the others are estimated again, from where they stood, until every item left passes. A learner is
    left out only without an answer to any calibrated item: who got everything right, or wrong, has a
    finite EAP.

    Parameters
    ----------
    responses
        Answers. The result depends on them and not on their order, to the last bit.
    model
        `2PL`.
    start
        Starting values by item id; items without one, or with one that the rules would not let pass,
        start at a = 1. They decide how long the fit takes, not where it ends (within `tolerance`).
    n_nodes
        Nodes of the even grid on [−6, 6] for the marginal likelihood, at least 11.
    max_iterations
        Most EM steps of one fit. A fit that is cut off there is returned as not converged.
    tolerance
        The fit has converged when an EM step changes no slope or intercept by more (logits).
    min_responses
        Answers an item needs, at least 2.
    item_priors
        Weak priors on items with few answers (see `ItemPriors`); None: none at all.
    progress
        Called as progress(iteration, loglik, change) after every EM step.

    Returns
    -------
    Calibration
        Standard errors are those of `standard_errors.item_information`, under a prior those of the
        posterior mode; `aic` and `bic` count two parameters an item, with or without prior.

    Raises
    ------
    CalibrationError
        For an unknown model or a senseless option, no responses, or fewer than three usable items.
    """
    _require_sense(model, n_nodes, max_iterations, tolerance, min_responses)
    if len(responses) == 0:
        raise CalibrationError("There are no responses to calibrate on.")
    verdict = screen(responses, min_responses)
    sample = _Sample.of(responses.select_items(verdict.keep), item_priors, verdict.exclusions)
    grid = normal_grid(STANDARD_NORMAL, n_nodes)
    stopping = Stopping(max_iterations, tolerance, progress)
    fitted = _fit_until_sound(sample, sample.starting_lines(start), grid, stopping)
    _log(fitted)
    return fitted.calibration(model, unanswered(responses, fitted.sample.responses))


@dataclass(frozen=True, eq=False)
class _Sample:
    """The answers to the items still in, and the items that are out."""

    responses: Responses
    answers: AnswerMatrix
    n: IntArray
    priors: ItemPriors | None
    exclusions: tuple[Exclusion, ...]

    @classmethod
    def of(
        cls, responses: Responses, priors: ItemPriors | None, exclusions: tuple[Exclusion, ...]
    ) -> "_Sample":
        if len(responses.item_ids) < MIN_ITEMS:
            raise CalibrationError(_too_few(len(responses.item_ids), exclusions))
        shape = (len(responses.user_ids), len(responses.item_ids))
        answers = answer_matrix(responses.user, responses.item, responses.correct, shape)
        return cls(responses, answers, np.bincount(responses.item), priors, exclusions)

    @property
    def penalty(self) -> Penalty:
        return Penalty.for_items(self.priors, self.n)

    def starting_lines(self, start: ItemParameters | None) -> FloatArray:
        """Slope 1 and the logit of the share right, or the line of a usable starting value."""
        right = np.bincount(self.responses.item[self.responses.correct], minlength=self.n.size)
        lines = np.stack([np.ones(self.n.size), logit((right + 0.5) / (self.n + 1))], axis=1)
        if start is not None:
            usable = start.select(plausible(start))
            at = usable.index_of(self.responses.item_ids)
            known = np.stack([usable.a, -usable.a * usable.b], axis=1)[at[at >= 0]]
            lines[at >= 0] = known
        return lines


@dataclass(frozen=True, eq=False)
class _Fitted:
    """The last fit, the sample it rests on, and the iterations of all fits."""

    sample: _Sample
    fit: EmFit
    n_iterations: int

    def calibration(self, model: str, users_out: tuple[Exclusion, ...]) -> Calibration:
        responses, loglik = self.sample.responses, self.fit.expectation.loglik
        items = self._items()
        scores = score_groups(
            items, responses.user, responses.item, responses.correct, len(responses.user_ids)
        )
        n_parameters = self.fit.lines.size
        return Calibration(
            model=model,
            items=items,
            abilities=Abilities(responses.user_ids, scores.theta, scores.se, scores.n),
            exclusions=self.sample.exclusions + users_out,
            prior=STANDARD_NORMAL,
            loglik=loglik,
            aic=2 * n_parameters - 2 * loglik,
            bic=float(n_parameters * np.log(len(responses.user_ids))) - 2 * loglik,
            n_iterations=self.n_iterations,
            converged=self.fit.converged,
            criterion=self.fit.criterion,
            n_observations=len(responses),
        )

    def _items(self) -> ItemParameters:
        a, d = self.fit.lines.T
        em = self.fit
        information = item_information(self.sample.answers, em.expectation, em.lines, em.grid.nodes)
        information += self.sample.penalty.curvature(em.lines)
        se_a, se_b = parameter_errors(information, self.fit.lines)
        items = ItemParameters.from_values(self.sample.responses.item_ids, a, -d / a, n=self.sample.n)
        return replace(items, se_a=se_a, se_b=se_b)


def _fit_until_sound(sample: _Sample, lines: FloatArray, grid: Quadrature, stopping: Stopping) -> _Fitted:
    """Fit, leave out items that fail `judge`, and fit again from the others' last lines."""
    iterations = 0
    while True:
        em = fit(sample.answers, lines, sample.penalty, grid, stopping, iterations)
        iterations += em.n_iterations
        verdict = judge(sample.responses.item_ids, sample.n, em, sample.penalty)
        if verdict.keep.all():
            return _Fitted(sample, em, iterations)
        logger.info("%d items fail after the fit; fitting the others again", len(verdict.exclusions))
        lines = em.lines[verdict.keep]
        rest = sample.responses.select_items(verdict.keep)
        sample = _Sample.of(rest, sample.priors, sample.exclusions + verdict.exclusions)


def _too_few(n_left: int, exclusions: tuple[Exclusion, ...]) -> str:
    reasons = Counter(exclusion.reason for exclusion in exclusions)
    listed = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(5))
    return (
        f"No model can be fitted to {n_left} usable items; {MIN_ITEMS} are needed. "
        f"Items left out: {listed or 'none'}. Gather more answers or lower the minimum."
    )


def _require_sense(
    model: str, n_nodes: int, max_iterations: int, tolerance: float, min_responses: int
) -> None:
    complaints = {
        f"model {model!r} is not supported; choose {', '.join(MODELS)}": model not in MODELS,
        f"{n_nodes} nodes are too few; use {MIN_NODES} or more": n_nodes < MIN_NODES,
        f"max_iterations is {max_iterations}; allow at least 1": max_iterations < 1,
        f"tolerance is {tolerance}; it must be above 0": not tolerance > 0,
        f"min_responses is {min_responses}; an item needs at least 2": min_responses < 2,
    }
    for complaint, applies in complaints.items():
        if applies:
            raise CalibrationError(f"Cannot calibrate: {complaint}.")


def _log(fitted: _Fitted) -> None:
    em, responses = fitted.fit, fitted.sample.responses
    level = logging.INFO if em.converged else logging.WARNING
    logger.log(
        level,
        "EM %s after %d iterations (last step %.1e): %d items, %d learners, log-likelihood %.3f",
        "converged" if em.converged else "did not converge",
        fitted.n_iterations,
        em.criterion,
        len(responses.item_ids),
        len(responses.user_ids),
        em.expectation.loglik,
    )
