"""Fits made by hand, where a test is about what becomes of a fit and not about fitting."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from seedtest.irt import STANDARD_NORMAL, Abilities, Calibration, Exclusion, ItemParameters
from seedtest.irt.standard_errors import ErrorKind
from seedtest.scale import Fit

NO_ITEMS = ItemParameters.from_values([], a=[], b=[])
NOTHING_FITTED = Fit(NO_ITEMS, STANDARD_NORMAL, "v1", None, on_anchors=False)


def items_at(difficulties: Mapping[str, float], a: float = 1.2, n: int = 40) -> ItemParameters:
    """Items of these difficulties, alike in all else."""
    items = ItemParameters.from_values(list(difficulties), a=a, b=list(difficulties.values()), c=0.0, n=n)
    return replace(items, se_a=np.full(len(items), 0.1), se_b=np.full(len(items), 0.2))


def calibration(
    difficulties: Mapping[str, float],
    abilities: Mapping[str, float] | None = None,
    exclusions: tuple[Exclusion, ...] = (),
) -> Calibration:
    """A converged fit on its own scale with these items and learners."""
    thetas = abilities or {}
    return Calibration(
        model="2PL",
        item_models=("2PL",) * len(difficulties),
        items=items_at(difficulties),
        abilities=Abilities(
            tuple(thetas),
            np.array(list(thetas.values()), dtype=np.float64),
            np.full(len(thetas), 0.4),
            np.full(len(thetas), 12),
        ),
        exclusions=exclusions,
        prior=STANDARD_NORMAL,
        loglik=-100.0,
        log_prior=0.0,
        aic=210.0,
        bic=220.0,
        n_parameters=2 * len(difficulties),
        n_iterations=7,
        converged=True,
        criterion=1e-7,
        n_observations=200,
        n_blocks=1,
        error_kind=ErrorKind.BLOCK,
    )
