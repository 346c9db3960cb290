"""Who fits the model: the seam between the pipeline and an IRT engine.

The pipeline chooses the answers, checks the anchors, links and writes, whichever engine fitted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import polars as pl

from seedtest.irt import Calibration, ItemParameters, LinkingConstants, Responses, calibrate

OnStep = Callable[[int, float, float], None]
"""Called as on_step(step, log-likelihood, largest change) after every EM step."""

MAX_ITERATIONS: Final = 2000
"""EM steps that even slow fits hardly need."""


@dataclass(frozen=True, slots=True)
class Step:
    """One EM step: the log-likelihood it started from and the largest change it made (logits)."""

    iteration: int
    loglik: float
    change: float


@dataclass(frozen=True)
class FitRequest:
    """What an engine is to fit.

    Attributes
    ----------
    answers
        The answers that count: user_id, item_id (text), correct (boolean).
    model
        Rasch, 1PL, 2PL or 3PL.
    anchors
        Items whose parameters are known from elsewhere.
    hold_anchors
        Whether to hold the anchors at these parameters, with mean and variance of ability free. Otherwise
        the fit is free, and an engine may use the anchors as starting values.
    starts
        Starting values of other items: they decide how long the fit takes, not where it ends.
    min_responses
        Answers an item needs.
    """

    answers: pl.DataFrame
    model: str
    anchors: ItemParameters
    hold_anchors: bool
    starts: ItemParameters
    min_responses: int


@dataclass(frozen=True)
class EngineFit:
    """What an engine found.

    Attributes
    ----------
    calibration
        The fit: on the anchors' scale if they were held or `constants` are given, else on its own.
    constants
        Given if the engine has linked the fit to the anchors already, by these constants; the pipeline
        then publishes it as it is. None: linking is left to the pipeline.
    """

    calibration: Calibration
    constants: LinkingConstants | None = None


class Engine(Protocol):
    """Fits an item response model to answers."""

    @property
    def name(self) -> str:
        """Name of the engine, as the setting IRT_ENGINE has it."""
        ...

    def fit(self, request: FitRequest, progress: OnStep | None = None) -> EngineFit:
        """Fit the model; raise CalibrationError where no model can be fitted."""
        ...


@dataclass(frozen=True)
class EmbeddedEngine:
    """The engine of `seedtest.irt`, in this process; `max_iterations` is the most EM steps of one fit."""

    max_iterations: int = MAX_ITERATIONS

    @property
    def name(self) -> str:
        """Name of the engine."""
        return "embedded"

    def fit(self, request: FitRequest, progress: OnStep | None = None) -> EngineFit:
        """Fit the model freely, or with the anchors held."""
        calibration = calibrate(
            Responses.from_frame(request.answers),
            model=request.model,
            item_models=_models(request) if request.hold_anchors else None,
            anchors=request.anchors if request.hold_anchors else None,
            start=request.starts,
            max_iterations=self.max_iterations,
            min_responses=request.min_responses,
            # The pipeline has told already, whichever engine fits.
            warn_of_blocks=False,
            progress=progress,
        )
        return EngineFit(calibration)


def _models(request: FitRequest) -> dict[str, str]:
    """Return the models of held anchors: what was known of an item stays true of it in any fit."""
    anchors = request.anchors
    return {
        item_id: "3PL" if c > 0 else "Rasch" if a == 1 and request.model == "Rasch" else "2PL"
        for item_id, a, c in zip(anchors.item_ids, anchors.a, anchors.c, strict=True)
    }
