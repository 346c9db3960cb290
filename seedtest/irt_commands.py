"""The commands that calibrate and score plain files."""

from pathlib import Path
from typing import Annotated

import typer

from seedtest.irt import MODELS, Prior, ScoringMethod
from seedtest.irt_files import calibrate_file, score_file

Answers = Annotated[
    Path, typer.Argument(metavar="RESPONSES", help="CSV or Parquet: user_id, item_id, correct")
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
    min_responses: Annotated[int, typer.Option(min=2, help="Answers an item needs")] = 5,
    memory_mb: Annotated[
        int | None, typer.Option(min=1, help="Work block by block within so many megabytes")
    ] = None,
) -> None:
    """Estimate items and abilities from answers in a file; no server is needed."""
    found = calibrate_file(
        responses,
        items=items,
        abilities=abilities,
        summary=summary,
        model=model,
        min_responses=min_responses,
        memory_mb=memory_mb,
    )
    verdict = "converged" if found.converged else "did NOT converge"
    typer.echo(
        f"{found.model} {verdict} in {found.n_iterations} iterations ({found.seconds:.2f} s): "
        f"{found.n_items:,} items, {found.n_users:,} learners, log-likelihood {found.loglik:.3f}"
    )
    for kind, reasons in found.exclusions.items():
        for reason, count in reasons.items():
            typer.echo(f"  left out: {count:,} {kind}{'s' if count > 1 else ''}: {reason}")
    typer.echo(f"  {found.connectivity}")
    typer.echo(f"  written: {', '.join(str(path) for path in (items, abilities, summary) if path)}")


def score(
    responses: Answers,
    *,
    items: Annotated[Path, typer.Option(help="CSV or Parquet: item_id, a, b, and c where it is not 0")],
    abilities: Annotated[Path, typer.Option(help=f"{Written} user_id, theta, se, n")],
    method: Annotated[str, typer.Option(help=", ".join(ScoringMethod))] = "EAP",
    mean: Annotated[float, typer.Option(help="Mean of ability (prior_mean in the fit's summary)")] = 0.0,
    sd: Annotated[float, typer.Option(help="Its standard deviation (prior_sd)")] = 1.0,
) -> None:
    """Estimate abilities from answers in a file and known items; no server is needed."""
    found = score_file(responses, items=items, abilities=abilities, prior=Prior(mean, sd), method=method)
    typer.echo(f"{found.n_scored:,} learners scored, written to {abilities}")
    if found.n_without_answer:
        typer.echo(f"  {found.n_without_answer:,} learners have no answer to a calibrated item")
