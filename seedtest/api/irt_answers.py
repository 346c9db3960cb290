"""What the IRT service answers."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Final

import orjson
from pydantic import BaseModel

from seedtest.api.irt_calibration import ServedFit
from seedtest.db.fits import new_run_id
from seedtest.irt.parameters import FloatArray, ItemParameters
from seedtest.scale import FIRST_VERSION

ROWS_A_PIECE: Final = 5_000


class Health(BaseModel):
    """That the service is up."""

    status: str
    service: str
    version: str
    time: str


class Triple(BaseModel):
    """A number for each of a, b and c; null: not estimated."""

    a: float | None
    b: float | None
    c: float | None


class ItemAnswer(BaseModel):
    """An item's estimates."""

    item_id: str
    params: Triple
    se: Triple
    n: int
    model: str
    version: str


class AbilityAnswer(BaseModel):
    """A learner's ability."""

    user_id: str
    theta: float
    se: float
    model: str
    version: str


class ExclusionAnswer(BaseModel):
    """What was left out, and why."""

    kind: str
    id: str
    reason: str
    n: int


class ConstantsAnswer(BaseModel):
    """θ' = slope·θ + intercept."""

    slope: float
    intercept: float


class FitMetaAnswer(BaseModel):
    """The fit as a whole."""

    run_id: str
    model_spec: dict[str, Any]
    metrics: dict[str, Any]
    linking_constants: ConstantsAnswer | None


class CalibrationAnswer(BaseModel):
    """A calibration."""

    status: str
    item_params: list[ItemAnswer]
    abilities: list[AbilityAnswer]
    fit_meta: FitMetaAnswer
    exclusions: list[ExclusionAnswer]


class ScoreAnswer(BaseModel):
    """A learner's ability; `n_items` answers counted."""

    status: str
    theta: float
    standard_error: float
    n_items: int


def calibration_pieces(served: ServedFit, fitted_at: dt.datetime, seconds: float) -> Iterator[bytes]:
    """Give the JSON of a calibration piece by piece: its abilities are never one object."""
    fit = served.calibration
    yield b'{"status":"ok","fit_meta":' + orjson.dumps(_fit_meta(served, fitted_at, seconds))
    yield from _list("item_params", len(fit.items), lambda at: _items(served, at))
    yield from _list("abilities", len(fit.abilities), lambda at: _abilities(served, at))
    yield from _list("exclusions", len(fit.exclusions), lambda at: [asdict(e) for e in fit.exclusions[at]])
    yield b"}"


def _list(name: str, size: int, rows: Callable[[slice], list[dict[str, Any]]]) -> Iterator[bytes]:
    yield f',"{name}":['.encode()
    for first in range(0, size, ROWS_A_PIECE):
        comma = b"," if first else b""
        yield comma + orjson.dumps(rows(slice(first, first + ROWS_A_PIECE)))[1:-1]
    yield b"]"


def _items(served: ServedFit, at: slice) -> list[dict[str, Any]]:
    fit, items = served.calibration, served.calibration.items
    return [
        {"item_id": item_id, "params": params, "se": se, "n": n, "model": model, "version": FIRST_VERSION}
        for item_id, params, se, n, model in zip(
            items.item_ids[at],
            _triples(items, at, ("a", "b", "c")),
            _triples(items, at, ("se_a", "se_b", "se_c")),
            items.n[at].tolist(),
            fit.item_models[at],
            strict=True,
        )
    ]


def _triples(items: ItemParameters, at: slice, names: tuple[str, str, str]) -> list[dict[str, float]]:
    a, b, c = (_numbers(getattr(items, name), at) for name in names)
    return [{"a": each[0], "b": each[1], "c": each[2]} for each in zip(a, b, c, strict=True)]


def _abilities(served: ServedFit, at: slice) -> list[dict[str, Any]]:
    fit, abilities = served.calibration, served.calibration.abilities
    same = {"model": fit.model, "version": FIRST_VERSION}
    return [
        {"user_id": user_id, "theta": theta, "se": se} | same
        for user_id, theta, se in zip(
            abilities.user_ids[at],
            _numbers(abilities.theta, at),
            _numbers(abilities.se, at),
            strict=True,
        )
    ]


def _numbers(column: FloatArray, at: slice) -> list[float]:
    numbers: list[float] = column[at].tolist()
    return numbers


def _fit_meta(served: ServedFit, fitted_at: dt.datetime, seconds: float) -> dict[str, Any]:
    constants = None if served.constants is None else asdict(served.constants)
    return {
        "run_id": new_run_id(fitted_at),
        "model_spec": _model_spec(served) | {"linking_constants": constants},
        "metrics": _metrics(served, seconds),
        "linking_constants": constants,
    }


def _model_spec(served: ServedFit) -> dict[str, Any]:
    fit, linking = served.calibration, served.linking
    return {
        "model": fit.model,
        "n_items": len(fit.items),
        "n_users": len(fit.abilities),
        "n_observations": fit.n_observations,
        "n_anchors": served.n_anchors,
        "n_blocks": fit.n_blocks,
        "error_kind": fit.error_kind,
        "theta_mean": fit.prior.mean,
        "theta_sd": fit.prior.sd,
        "version": FIRST_VERSION,
        "reason": served.reason,
        "linking_method": None if linking is None else linking.method,
        "anchors_dropped": [] if linking is None else [asdict(anchor) for anchor in linking.dropped],
    }


def _metrics(served: ServedFit, seconds: float) -> dict[str, Any]:
    fit = served.calibration
    return {
        "aic": fit.aic,
        "bic": fit.bic,
        "loglik": fit.loglik,
        "log_prior": fit.log_prior,
        "n_parameters": fit.n_parameters,
        "n_iterations": fit.n_iterations,
        "converged": fit.converged,
        "criterion": fit.criterion,
        "seconds": round(seconds, 3),
    }
