"""Calibration and scoring of answers in files: CSV or Parquet in and out, no server."""

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from seedtest.errors import DataError
from seedtest.irt import (
    THIN_ITEM_PRIORS,
    Abilities,
    Calibration,
    ExclusionKind,
    ItemParameters,
    Prior,
    Responses,
    Scorer,
    ScoringMethod,
    StoredResponses,
    connectivity,
    read_responses,
    score_responses,
)
from seedtest.irt import calibrate as fit_model
from seedtest.irt.scoring import known_method

logger = logging.getLogger(__name__)

FORMATS: Final = (".csv", ".parquet")
ERRORS: Final = ("se_a", "se_b", "se_c")
NUMBERS: Final = ("a", "b", "c", *ERRORS)
FLAG_SEPARATOR = "; "


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
    prior_mean, prior_sd
        Ability distribution on the scale of the items; `score` takes them.
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
    prior_mean: float
    prior_sd: float
    connectivity: str
    exclusions: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """How many learners were scored, and how many had no answer to a calibrated item."""

    n_scored: int
    n_without_answer: int


def calibrate_file(
    responses: Path,
    *,
    items: Path,
    abilities: Path,
    summary: Path | None = None,
    model: str = "2PL",
    min_responses: int = 5,
    memory_mb: int | None = None,
) -> FitSummary:
    """Calibrate the answers in a file and write items, abilities and a summary.

    Parameters
    ----------
    responses
        CSV or Parquet with user_id, item_id and correct (true/false or 1/0).
    items
        Written: item_id, a, b, c, se_a, se_b, se_c, n, flags; an item left out has empty parameters and
        the reason in `flags`.
    abilities
        Written: user_id, theta, se, n.
    summary
        Written, if given: the `FitSummary` as JSON.
    model, min_responses
        As `irt.calibrate` takes them.
    memory_mb
        Work on the answers block by block, within so many megabytes; None: in memory.

    Raises
    ------
    DataError, CalibrationError
        For files that cannot be read or written, and for answers that no model can be fitted to.
    """
    _require_writable(items, abilities)
    with ExitStack() as stack, _explained(responses):
        answers: Responses | StoredResponses
        if memory_mb is None:
            answers = read_responses(responses)
        else:
            answers = stack.enter_context(StoredResponses.read(responses, memory_mb))
        parts = connectivity(answers).message
        before = time.perf_counter()
        fit = fit_model(answers, model=model, min_responses=min_responses)
        seconds = time.perf_counter() - before
        scored = abilities_frame(_abilities(answers, fit))
    _write(items_frame(fit), items)
    _write(scored, abilities)
    found = _summary(fit, seconds, parts, len(scored))
    if summary is not None:
        _write_text(json.dumps(asdict(found), indent=2, ensure_ascii=False) + "\n", summary)
    return found


def score_file(
    responses: Path,
    *,
    items: Path,
    abilities: Path,
    prior: Prior,
    method: ScoringMethod | str = ScoringMethod.EAP,
) -> ScoreSummary:
    """Score the answers in a file with known items and write abilities.

    Learners without an answer to an item with parameters have an empty theta and se, and n = 0.

    Raises
    ------
    DataError
        For files that cannot be read or written, and parameters that cannot be used.
    """
    method = known_method(method)
    _require_writable(abilities)
    known = read_items(items)
    with _explained(responses):
        answers = read_responses(responses)
    scores = score_responses(known, answers, prior, method)
    estimates = Abilities(answers.user_ids, scores.theta, scores.se, scores.n)
    _write(abilities_frame([estimates]), abilities)
    n_scored = int((scores.n > 0).sum())
    return ScoreSummary(n_scored, len(estimates) - n_scored)


def read_items(path: Path) -> ItemParameters:
    """Read item parameters; rows without a or b are items left out, c may be missing (0), and so may errors.

    Raises
    ------
    DataError
        For a file that cannot be read, a missing column, a value that is no number, or none usable.
    """
    with _explained(path):
        frame = _scan(path, "item_id").collect()
    for name in ("item_id", "a", "b"):
        if name not in frame.columns:
            raise DataError(f"{path} needs a column {name}; there are only {', '.join(frame.columns)}.")
    for name in {*NUMBERS, "n"}.intersection(frame.columns):
        if not (frame[name].dtype.is_numeric() or frame[name].null_count() == len(frame)):
            raise DataError(f"Column {name} of {path} is {frame[name].dtype}; it must hold numbers.")
    usable = frame.filter(pl.all_horizontal(pl.col("item_id", "a", "b").is_not_null()))
    if usable.is_empty():
        raise DataError(f"{path} holds no item with a and b.")
    return _parameters(usable)


def _parameters(frame: pl.DataFrame) -> ItemParameters:
    def column(name: str, missing: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        if name not in frame.columns:
            return np.full(len(frame), missing)
        return frame[name].cast(pl.Float64).fill_null(missing).to_numpy().copy()

    values = {name: column(name, math.nan) for name in NUMBERS}
    values["c"] = column("c", 0.0)
    return ItemParameters(
        tuple(frame["item_id"].cast(pl.String).to_list()), **values, n=column("n", 0).astype(np.int64)
    )


def items_frame(fit: Calibration) -> pl.DataFrame:
    """All items of a calibration, those left out too, as they are written."""
    items = fit.items
    numbers = {name: pl.Series(getattr(items, name)).fill_nan(None) for name in NUMBERS}
    kept = pl.DataFrame({"item_id": items.item_ids, **numbers, "n": items.n, "flags": _flags(fit)})
    out = [one for one in fit.exclusions if one.kind is ExclusionKind.ITEM]
    left_out = pl.DataFrame(
        {
            "item_id": [one.id for one in out],
            "n": [one.n for one in out],
            "flags": [f"left out: {one.reason}" for one in out],
        },
        schema={"item_id": pl.String, "n": pl.Int64, "flags": pl.String},
    )
    return pl.concat([kept, left_out], how="diagonal").sort("item_id")


def _flags(fit: Calibration) -> list[str]:
    few = THIN_ITEM_PRIORS.below_n or 0
    flags = []
    for model, n, error in zip(fit.item_models, fit.items.n, fit.items.se_b, strict=True):
        reasons = {
            "prior on a and b: few answers": model in {"2PL", "3PL"} and n < few,
            "prior on a and c": model == "3PL",
            "standard error unknown": np.isnan(error),
        }
        flags.append(FLAG_SEPARATOR.join(reason for reason, applies in reasons.items() if applies))
    return flags


def abilities_frame(parts: Iterable[Abilities]) -> pl.DataFrame:
    """Abilities as they are written."""
    schema = {"user_id": pl.String, "theta": pl.Float64, "se": pl.Float64, "n": pl.Int64}
    frames = [
        pl.DataFrame(
            {"user_id": part.user_ids, "theta": part.theta, "se": part.se, "n": part.n}, schema=schema
        )
        for part in parts
    ]
    together = pl.concat([pl.DataFrame(schema=schema), *frames])
    return together.with_columns(pl.col("theta", "se").fill_nan(None))


def _abilities(answers: Responses | StoredResponses, fit: Calibration) -> Iterator[Abilities]:
    if isinstance(answers, Responses):
        yield fit.abilities
        return
    calibrated = answers.select_items(np.asarray(fit.items.index_of(answers.item_ids) >= 0))
    yield from calibrated.abilities(Scorer(fit.items, fit.prior))


def _summary(fit: Calibration, seconds: float, parts: str, n_users: int) -> FitSummary:
    counts = {
        str(kind): dict(Counter(one.reason for one in fit.exclusions if one.kind is kind).most_common())
        for kind in ExclusionKind
    }
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
        n_users=n_users,
        n_items=len(fit.items),
        n_observations=fit.n_observations,
        prior_mean=fit.prior.mean,
        prior_sd=fit.prior.sd,
        connectivity=parts,
        exclusions=counts,
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what polars or the system say about a file into a sentence."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} cannot be read as {path.suffix or 'a file'}: {first}") from error


def _scan(path: Path, id_column: str) -> pl.LazyFrame:
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    if path.suffix == ".parquet":
        return pl.scan_parquet(path)
    if path.suffix == ".csv":
        return pl.scan_csv(path, schema_overrides={id_column: pl.String}, infer_schema_length=None)
    raise DataError(f"{path} is neither .csv nor .parquet.")


def _require_writable(*paths: Path) -> None:
    """Say before the work what would fail after it."""
    for path in paths:
        if path.suffix not in FORMATS:
            raise DataError(f"{path} cannot be written: its name must end in .csv or .parquet.")
        if not path.parent.is_dir():
            raise DataError(f"{path} cannot be written: there is no folder {path.parent}.")


def _write(frame: pl.DataFrame, path: Path) -> None:
    try:
        if path.suffix == ".parquet":
            frame.write_parquet(path)
        else:
            frame.write_csv(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from error


def _write_text(text: str, path: Path) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from error
