"""The commands that calibrate and score plain files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from seedtest.irt import MODELS, STANDARD_NORMAL, Prior, ScoringMethod
from seedtest.irt_files import (
    CalibrationFiles,
    FileProgress,
    OnProgress,
    Stage,
    calibrate_file,
    read_prior,
    score_file,
)
from seedtest.irt_report import counted, render

Answers = Annotated[
    Path,
    typer.Argument(metavar="RESPONSES", help="CSV, Parquet or a folder of it: user_id, item_id, correct"),
]
Written = "CSV or Parquet to write:"


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command()(calibrate)
    app.command()(score)


def calibrate(
    responses: Answers,
    *,
    items: Annotated[Path, typer.Option(help=f"{Written} item_id, a, b, c, se_a, se_b, se_c, n, flags")],
    abilities: Annotated[Path, typer.Option(help=f"{Written} user_id, theta, se, n")],
    summary: Annotated[Path | None, typer.Option(help="JSON to write: likelihood, iterations, …")] = None,
    model: Annotated[str, typer.Option(help=", ".join(MODELS))] = "2PL",
    anchors: Annotated[
        Path | None, typer.Option(help="CSV or Parquet of items to hold: item_id, a, b, and c if not 0")
    ] = None,
    min_responses: Annotated[int, typer.Option(min=2, help="Answers an item needs")] = 5,
    memory_mb: Annotated[
        int | None, typer.Option(min=1, help="Work block by block within so many megabytes")
    ] = None,
) -> None:
    """Estimate items and abilities from answers in a file; no server is needed.

    A learner's repeated answers to an item count each. With --anchors the items named there keep their
    parameters, and the others are put on their scale.
    """
    files = CalibrationFiles(responses, items, abilities, summary, anchors)
    with _shown() as on_progress:
        found = calibrate_file(
            files, model=model, min_responses=min_responses, memory_mb=memory_mb, on_progress=on_progress
        )
    out = Console(highlight=False, soft_wrap=True)
    out.print(render(found))
    _say(f"  written: {', '.join(str(path) for path in (items, abilities, summary) if path)}")


def score(
    responses: Answers,
    *,
    items: Annotated[Path, typer.Option(help="CSV or Parquet: item_id, a, b, and c where it is not 0")],
    abilities: Annotated[Path, typer.Option(help=f"{Written} user_id, theta, se, n")],
    method: Annotated[str, typer.Option(help=", ".join(ScoringMethod))] = "EAP",
    prior: Annotated[
        Path | None, typer.Option(help="Summary of a fit (fit.json): take the distribution of ability there")
    ] = None,
    mean: Annotated[float | None, typer.Option(help="Mean of ability (else the summary's, or 0)")] = None,
    sd: Annotated[float | None, typer.Option(help="Its standard deviation (the summary's, or 1)")] = None,
) -> None:
    """Estimate abilities from answers in a file and known items; no server is needed."""
    base = STANDARD_NORMAL if prior is None else read_prior(prior)
    chosen = Prior(base.mean if mean is None else mean, base.sd if sd is None else sd)
    with _shown() as on_progress:
        found = score_file(
            responses,
            items=items,
            abilities=abilities,
            prior=chosen,
            method=method,
            on_progress=on_progress,
        )
    _say(f"{counted(found.n_scored, 'learner')} scored, written to {abilities}")
    if found.n_without_answer:
        without = counted(found.n_without_answer, "learner")
        _say(f"  {without} without an answer to a calibrated item: θ is empty")


def _say(line: str) -> None:
    Console(highlight=False, soft_wrap=True).print(line, markup=False)


@contextmanager
def _shown() -> Iterator[OnProgress]:
    """Show a line for every stage while it lasts, on a terminal."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    tasks: dict[Stage, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def show(progress: FileProgress) -> None:
            if progress.stage not in tasks:
                for task in tasks.values():
                    bar.stop_task(task)
                tasks[progress.stage] = bar.add_task(progress.stage.capitalize(), total=None, detail="")
            bar.update(
                tasks[progress.stage],
                completed=progress.done,
                total=progress.total,
                detail=progress.detail or (f"{progress.done:,} answers" if progress.done else ""),
            )

        yield show
