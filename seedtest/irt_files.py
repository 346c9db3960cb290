"""Calibration and scoring of answers in files: CSV or Parquet in and out, no server."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from seedtest.errors import DataError
from seedtest.irt import (
    Abilities,
    Calibration,
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
from seedtest.irt.ingest import OnRead
from seedtest.irt.scoring import known_method
from seedtest.irt.stored import AnyResponses
from seedtest.irt_summary import FitSummary, Tables, summarise
from seedtest.irt_tables import (
    abilities_frame,
    items_frame,
    read_items,
    require_outputs,
    write_table,
    write_text,
)


class Stage(StrEnum):
    """What a calibration of files is at."""

    READING = "reading answers"
    FITTING = "fitting"
    WRITING = "scoring and writing"


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far a stage is: answers read or steps taken, of how many (None: unknown), and what to say of it."""

    stage: Stage
    done: int = 0
    total: int | None = None
    detail: str = ""


OnProgress = Callable[[FileProgress], None]


@dataclass(frozen=True, slots=True)
class CalibrationFiles:
    """The files of a calibration.

    Attributes
    ----------
    responses
        Read: CSV or Parquet with user_id, item_id and correct (true/false or 1/0), or a folder of Parquet.
    items
        Written: item_id, a, b, c, se_a, se_b, se_c, n, flags; an item left out has empty parameters and
        the reason in `flags`.
    abilities
        Written: user_id, theta, se, n.
    summary
        Written, if given: the `FitSummary` as JSON.
    anchors
        Read, if given: items, as `items` has them, whose parameters are held.
    """

    responses: Path
    items: Path
    abilities: Path
    summary: Path | None = None
    anchors: Path | None = None


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """How many learners were scored, and how many had no answer to a calibrated item."""

    n_scored: int
    n_without_answer: int


def calibrate_file(
    files: CalibrationFiles,
    *,
    model: str = "2PL",
    min_responses: int = 5,
    memory_mb: int | None = None,
    on_progress: OnProgress | None = None,
) -> FitSummary:
    """Calibrate the answers in a file and write items, abilities and a summary.

    Parameters
    ----------
    files
        What is read and written.
    model, min_responses
        As `irt.calibrate` takes them.
    memory_mb
        Work on the answers block by block, within so many megabytes; None: in memory.
    on_progress
        Called now and then.

    Raises
    ------
    DataError, CalibrationError
        For files that cannot be read or written, and for answers that no model can be fitted to.
    """
    tell = on_progress or _silent
    others = [] if files.summary is None else [files.summary]
    read = [files.responses] if files.anchors is None else [files.responses, files.anchors]
    require_outputs([files.items, files.abilities], others, read)
    anchors = None if files.anchors is None else read_items(files.anchors)
    with _opened(files.responses, memory_mb, tell) as answers:
        connected = connectivity(answers).message
        before = time.perf_counter()
        fit = fit_model(
            answers,
            model=model,
            anchors=anchors,
            min_responses=min_responses,
            warn_of_blocks=False,
            progress=_steps(tell),
        )
        seconds = time.perf_counter() - before
        tell(FileProgress(Stage.WRITING))
        tables = Tables(items_frame(fit, anchors), abilities_frame(_abilities(answers, fit)))
        found = summarise(fit, answers, tables, seconds, connected)
    write_table(tables.items, files.items)
    write_table(tables.abilities, files.abilities)
    if files.summary is not None:
        write_text(json.dumps(asdict(found), indent=2, ensure_ascii=False) + "\n", files.summary)
    return found


def score_file(
    responses: Path,
    *,
    items: Path,
    abilities: Path,
    prior: Prior,
    method: ScoringMethod | str = ScoringMethod.EAP,
    on_progress: OnProgress | None = None,
) -> ScoreSummary:
    """Score the answers in a file with known items and write abilities.

    Learners without an answer to an item with parameters have an empty theta and se, and n = 0.

    Raises
    ------
    DataError
        For files that cannot be read or written, and parameters that cannot be used.
    """
    method, tell = known_method(method), on_progress or _silent
    require_outputs([abilities], [], [responses, items])
    known = read_items(items)
    answers = read_responses(responses, _reading(tell))
    tell(FileProgress(Stage.WRITING))
    scores = score_responses(known, answers, prior, method)
    estimates = Abilities(answers.user_ids, scores.theta, scores.se, scores.n)
    write_table(abilities_frame([estimates]), abilities)
    n_scored = int((scores.n > 0).sum())
    return ScoreSummary(n_scored, len(estimates) - n_scored)


def read_prior(path: Path) -> Prior:
    """Read the ability distribution from a fit's summary.

    Raises
    ------
    DataError
        For a file that cannot be read or is no such summary.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Prior(float(found["prior_mean"]), float(found["prior_sd"]))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no summary of a fit: it needs prior_mean and prior_sd.") from error


def _silent(progress: FileProgress) -> None:
    del progress


def _reading(tell: OnProgress) -> OnRead:
    return lambda done, total: tell(FileProgress(Stage.READING, done, total))


def _steps(tell: OnProgress) -> Callable[[int, float, float], None]:
    def step(iteration: int, loglik: float, change: float) -> None:
        detail = f"log-likelihood {loglik:,.1f}, largest change {change:.0e}"
        tell(FileProgress(Stage.FITTING, iteration, detail=detail))

    return step


@contextmanager
def _opened(path: Path, memory_mb: int | None, tell: OnProgress) -> Iterator[AnyResponses]:
    if memory_mb is None:
        yield read_responses(path, _reading(tell))
        return
    with StoredResponses.read(path, memory_mb, on_read=_reading(tell)) as answers:
        yield answers


def _abilities(answers: AnyResponses, fit: Calibration) -> Iterator[Abilities]:
    if isinstance(answers, Responses):
        yield fit.abilities
        return
    calibrated = answers.select_items(fit.items.index_of(answers.item_ids) >= 0)
    yield from calibrated.abilities(Scorer(fit.items, fit.prior))
