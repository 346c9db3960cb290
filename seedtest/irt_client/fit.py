"""From a complete answer to a `Calibration`: the contract's fields, and what follows for the others."""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from seedtest.engine import EngineFit, FitRequest
from seedtest.irt import (
    STANDARD_NORMAL,
    Abilities,
    Calibration,
    ErrorKind,
    Exclusion,
    ItemModel,
    ItemParameters,
    LinkingConstants,
    Prior,
    Responses,
)
from seedtest.irt.parameters import FloatArray
from seedtest.irt.rules import count_blocks
from seedtest.irt_client.answer import Answer, ItemRow, Metrics, ModelSpec, StandardErrors
from seedtest.irt_client.completeness import invalid, require_complete


def engine_fit(answer: Answer, request: FitRequest) -> EngineFit:
    """Return the fit that the answer describes.

    Raises
    ------
    CallError
        When the answer does not account for everything that was sent.
    """
    require_complete(answer, request)
    items = _items(answer.item_params)
    constants = _constants(answer)
    prior = _prior(answer.fit_meta.model_spec, constants, is_free=not request.hold_anchors)
    return EngineFit(_calibration(answer, request, items, prior), constants)


def _calibration(answer: Answer, request: FitRequest, items: ItemParameters, prior: Prior) -> Calibration:
    spec, metrics = answer.fit_meta.model_spec, answer.fit_meta.metrics
    used = request.answers.filter(pl.col("item_id").is_in(list(items.item_ids)))
    return Calibration(
        model=request.model,
        item_models=tuple(row.model or request.model for row in answer.item_params),
        items=items,
        abilities=_abilities(answer, used),
        exclusions=tuple(Exclusion(row.kind, row.id, row.reason, row.n) for row in answer.exclusions),
        prior=prior,
        loglik=metrics.loglik,
        log_prior=_known(metrics.log_prior),
        aic=metrics.aic,
        bic=metrics.bic,
        n_parameters=_n_parameters(metrics),
        n_iterations=metrics.n_iterations or 0,
        # A fit is taken for converged only where the service says so.
        converged=metrics.converged is True,
        criterion=_known(metrics.criterion),
        n_observations=used.height,
        n_blocks=count_blocks(Responses.from_frame(used)) if spec.n_blocks is None else spec.n_blocks,
        error_kind=spec.error_kind or ErrorKind.UNKNOWN,
    )


def _items(rows: Sequence[ItemRow]) -> ItemParameters:
    errors = [row.se or StandardErrors() for row in rows]
    return ItemParameters(
        item_ids=tuple(row.item_id for row in rows),
        a=_array([row.params.a for row in rows]),
        b=_array([row.params.b for row in rows]),
        c=_array([row.params.c or 0.0 for row in rows]),
        se_a=_array([_known(error.a) for error in errors]),
        se_b=_array([_known(error.b) for error in errors]),
        se_c=_array([_known(error.c) for error in errors]),
        n=np.array([row.n for row in rows], dtype=np.int64),
    )


def _abilities(answer: Answer, used: pl.DataFrame) -> Abilities:
    """Return the abilities with the answers each rests on, which the contract leaves to the client."""
    user_ids = tuple(row.user_id for row in answer.abilities)
    n = used.group_by("user_id").len()
    counts = pl.Series(user_ids, dtype=pl.String).replace_strict(
        n["user_id"], n["len"], default=0, return_dtype=pl.Int64
    )
    return Abilities(
        user_ids,
        theta=_array([row.theta for row in answer.abilities]),
        se=_array([_known(row.se) for row in answer.abilities]),
        n=counts.to_numpy(),
    )


def _constants(answer: Answer) -> LinkingConstants | None:
    given = answer.fit_meta.linking_constants
    if given is None:
        return None
    if given.slope == 0:
        raise invalid("fit_meta.linking_constants.slope is 0: no scale has a slope of 0")
    return LinkingConstants(given.slope, given.intercept)


def _prior(spec: ModelSpec, constants: LinkingConstants | None, *, is_free: bool) -> Prior:
    """Return the ability distribution as told, or as the contract has it for a free fit: N(0, 1), linked.

    A Rasch model's own variance, and the distribution beside held anchors, follow from nothing else.
    """
    if spec.theta_mean is not None and spec.theta_sd is not None:
        return Prior(spec.theta_mean, spec.theta_sd)
    if not is_free or spec.model == ItemModel.RASCH:
        raise invalid(
            "fit_meta.model_spec.theta_mean or theta_sd is missing: without them no ability can be "
            "estimated on the scale of this fit"
        )
    return STANDARD_NORMAL if constants is None else constants.apply_prior(STANDARD_NORMAL)


def _n_parameters(metrics: Metrics) -> int:
    """Return k as told, or from its definition: aic = 2k − 2·loglik."""
    return metrics.n_parameters or round(metrics.aic / 2 + metrics.loglik)


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _array(values: Sequence[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)
