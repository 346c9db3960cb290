"""From a request to a fit on its published scale, whichever engine fits."""

from dataclasses import replace

import numpy as np

from seedtest.engine import Engine, FitRequest, OnStep
from seedtest.errors import CalibrationError
from seedtest.irt import Calibration, ItemParameters, LinkingMethod
from seedtest.scale import FIXED, Fit, Published, Scale, publish, publish_held, publish_linked

CHECK_METHOD = LinkingMethod.HAEBARA
"""How a free fit meets the anchors before they are held: by curves, as holding does, so that an anchor's
lower asymptote has its weight whatever the model of the fit."""

HELD_WITHIN = 1e-3
"""An engine that rounds what it was given to three digits has still held it."""


def fit_to_scale(
    request: FitRequest, last: Fit, linking: str, engine: Engine, progress: OnStep | None = None
) -> Published:
    """Fit freely and link, or under `fixed` fit again with the anchors held.

    A fit that the engine has linked is published as it is; any other is linked here. Under `fixed` the
    free fit checks the anchors: those that drifted are not held, and where fewer than two are usable
    or they contradict each other, nothing is held and the free fit is published.

    Raises
    ------
    CalibrationError
        No model can be fitted, or the engine did not hold what it was to hold.
    """
    method = CHECK_METHOD if linking == FIXED else LinkingMethod(linking)
    fit = engine.fit(request, progress)
    if fit.constants is not None:
        return publish_linked(fit.calibration, fit.constants, request.anchors, last, method)
    published = publish(fit.calibration, request.anchors, last, method)
    if linking == FIXED and published.scale is Scale.ANCHORS:
        return _held(published, request, engine, progress)
    return published


def _held(checked: Published, request: FitRequest, engine: Engine, progress: OnStep | None) -> Published:
    """Fit again from where the free fit ended, with the anchors held that it found to agree."""
    kept = request.anchors.take(request.anchors.index_of(checked.linking.used_ids))
    steps_before = checked.calibration.n_iterations

    def on_step(step: int, loglik: float, change: float) -> None:
        if progress is not None:
            progress(steps_before + step, loglik, change)

    again = replace(request, anchors=kept, hold_anchors=True, starts=checked.compared)
    held = engine.fit(again, on_step).calibration
    _require_held(held, kept, engine.name)
    return publish_held(held, checked)


def _require_held(fit: Calibration, anchors: ItemParameters, engine: str) -> None:
    """Raise if an anchor moved: everything else would then be on a scale that nobody knows."""
    at = fit.items.index_of(anchors.item_ids)
    fitted, expected = fit.items.take(at[at >= 0]), anchors.select(at >= 0)
    gaps = [np.abs(getattr(fitted, name) - getattr(expected, name)) for name in ("a", "b", "c")]
    away = at < 0
    away[at >= 0] = ~(np.max(gaps, axis=0) <= HELD_WITHIN)
    if away.any():
        example = anchors.item_ids[int(away.argmax())]
        raise CalibrationError(
            f"The engine {engine!r} was to hold {len(anchors)} anchors, but in its fit {away.sum()} of them, "
            f"such as {example!r}, are elsewhere or missing: nobody knows its scale. Update the IRT service, "
            "or choose another MIRT_LINKING."
        )
