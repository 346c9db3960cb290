"""The command line: each command resolves settings and calls one function of the core.

An error raised on purpose is printed as its message; any other leaves its trace in a file and says where.
"""

import datetime as dt
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from seedtest import backfill_commands, irt_commands, service_commands, theta_commands, token_commands
from seedtest.errors import ConfigurationError, SeedtestError
from seedtest.local import simulate as simulation
from seedtest.local import stack, stopping
from seedtest.local import status as stack_status
from seedtest.local.addresses import prefect_api_url
from seedtest.local.database import database
from seedtest.local.folder import StackFolder
from seedtest.local.importer import ImportPhase, ImportProgress, ImportSummary, import_file
from seedtest.local.runs import run_deployment
from seedtest.local.simulate import SimulationPlan
from seedtest.settings import load_settings
from seedtest.summary import render, summarise
from seedtest.verify import Expectations, judge, measure

app = typer.Typer(
    help="Measure learners and items: the pipeline of seedtest analytics.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
DEFAULTS = SimulationPlan()
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
backfill_commands.register(app)
irt_commands.register(app)
service_commands.register(app)
theta_commands.register(app)
token_commands.register(app)


def main() -> None:
    """Run the command line; an error ends it with a message for a person and exit code 1."""
    try:
        app()
    except SeedtestError as error:
        err.print(f"[red]seedtest:[/] {_escaped(str(error))}")
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 (the outermost frame: the trace goes to a file)
        path = _keep_trace(traceback.format_exception(error))
        what = f"unexpected {type(error).__name__}"
        err.print(f"[red]seedtest:[/] {what}. The details are in {path}; please report them.")
        sys.exit(1)


def say(line: str) -> None:
    """Print a line as it is: brackets in it are no markup."""
    out.print(line, markup=False)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def _keep_trace(lines: list[str]) -> Path:
    """Write a trace to the stack's logs if there are any, else to the current folder; return its path."""
    try:
        logs = StackFolder(load_settings().home).logs
    except ConfigurationError:
        logs = Path()
    folder = logs if logs.is_dir() and os.access(logs, os.W_OK) else Path()
    path = folder / f"crash-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}.log"
    path.write_text("".join(lines), encoding="utf-8")
    return path.resolve()


def day(text: str | None) -> dt.date | None:
    """Read a day such as 2026-10-30."""
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; write it as 2026-10-30") from None


Day = Annotated[dt.date, typer.Option(parser=day, metavar="DATE")]
OptionalDay = Annotated[dt.date | None, typer.Option(parser=day, metavar="DATE")]


def yesterday() -> dt.date:
    """Return the last day that is whole (UTC)."""
    return dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)


# -- the embedded stack ----------------------------------------------------------------------------


@app.command()
def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Return once everything runs")] = False,
) -> None:
    """Start the embedded stack: PostgreSQL, Prefect with its UI and workers, the θ API, an object store."""
    if detach:
        state = stack.up(load_settings(), say=say)
        for line in ["", *stack.where_to_look(state)]:
            say(line)
    else:
        stack.attached(load_settings(), say=say)


@app.command()
def down(
    *,
    delete_data: Annotated[bool, typer.Option("--delete-data", help="Delete the stack's data too")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting")] = False,
) -> None:
    """Stop the embedded stack; its data stay unless --delete-data says otherwise."""
    if not delete_data:
        stopping.down(load_settings(), say=say)
    elif yes or typer.confirm(f"Delete all data in {load_settings().home}?"):
        stopping.clean(load_settings(), say=say)


@app.command()
def status() -> None:
    """Say what runs and where, which versions, what the tables hold, how the last runs ended."""
    out.print(stack_status.render(stack_status.status(load_settings())))


# -- getting data in -------------------------------------------------------------------------------


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, of any size")],
    *,
    format: Annotated[Literal["attempts", "mathe"], typer.Option(help="What the columns are")] = "attempts",
    map: Annotated[
        list[str] | None,
        typer.Option(help="Another header: our=theirs, comma-separated or repeated", metavar="OUR=THEIRS"),
    ] = None,
    start: OptionalDay = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days to spread answers without times over")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of a CSV file")] = None,
    rejects: Annotated[Path | None, typer.Option(help="Where rejected rows go")] = None,
) -> None:
    """Import answers; bad rows go to a rejects file, the same file again changes nothing."""
    with database() as engine, Progress(console=err, transient=True) as bar:
        summary = import_file(
            engine,
            file,
            format=format,
            mapping=_pairs(map or [], "--map"),
            start=start,
            days=days,
            encoding=encoding,
            rejects=rejects,
            progress=_shown(bar),
        )
    _print_import(summary)


def _shown(bar: Progress) -> Callable[[ImportProgress], None]:
    """Return a callback that moves one bar a phase."""
    tasks: dict[ImportPhase, TaskID] = {}

    def show(progress: ImportProgress) -> None:
        if progress.phase not in tasks:
            tasks[progress.phase] = bar.add_task(progress.phase.capitalize())
        bar.update(tasks[progress.phase], completed=progress.done, total=progress.total)

    return show


def _print_import(summary: ImportSummary) -> None:
    """Say what became of every row."""
    out.print(
        f"{summary.path}: {summary.attempts:,} attempts of {summary.learners:,} learners on "
        f"{summary.items:,} items, {summary.rows_rejected:,} rows rejected"
    )
    out.print(
        f"  attempts: {summary.attempts_new:,} new, {summary.attempts_known:,} known already, "
        f"{summary.attempts_corrected:,} of them corrected"
    )
    out.print(
        f"  sessions: {summary.sessions_new:,} new, {summary.sessions_changed:,} changed, "
        f"{summary.sessions_unchanged:,} unchanged; questions: {summary.questions_new:,} new"
    )
    for note in summary.notes:
        out.print(f"  note: {_escaped(note)}")
    if summary.rejects is not None:
        out.print(f"  rejected rows, with line and reason: {summary.rejects}")


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    """Read name=value pairs."""
    parts = [part for text in texts for part in text.split(",") if part] if option == "--map" else texts
    for part in parts:
        if "=" not in part:
            raise typer.BadParameter(f"{part!r} is no pair; write name=value", param_hint=option)
    return {name.strip(): value for name, _, value in (part.partition("=") for part in parts)}


@app.command()
def simulate(
    *,
    users: Annotated[int, typer.Option(help="Learners")] = DEFAULTS.users,
    items: Annotated[int, typer.Option(help="Questions")] = DEFAULTS.items,
    topics: Annotated[int, typer.Option(help="Topics")] = DEFAULTS.topics,
    days: Annotated[int, typer.Option(help="Days of answers")] = DEFAULTS.days,
    answers: Annotated[int, typer.Option(help="Answers of each learner")] = DEFAULTS.answers,
    seed: Annotated[int, typer.Option(help="The same seed makes the same cohort")] = DEFAULTS.seed,
    end: OptionalDay = None,
) -> None:
    """Make a believable cohort with known parameters; its truth is kept beside the data."""
    plan = SimulationPlan(users, items, topics, days, seed, end or DEFAULTS.end, answers)
    cohort = simulation.simulate(plan)
    with database() as engine, Progress(console=err, transient=True) as bar:
        task = bar.add_task("Loading")
        loaded = simulation.load_cohort(
            engine, cohort, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    folder = load_settings().home / "truth"
    simulation.write_truth(cohort, folder)
    out.print(
        f"Simulated {users:,} learners on {items:,} items, {loaded.answers:,} answers from {plan.start} to "
        f"{plan.end}; sessions: {loaded.sessions}"
    )
    out.print(f"Their true parameters are in {folder}")


# -- running and looking ---------------------------------------------------------------------------


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="Deployment, such as nightly")],
    *,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the flow; repeat for more", metavar="NAME=VALUE")
    ] = None,
) -> None:
    """Run a deployment, follow its log, and fail unless it completes."""
    final = run_deployment(
        prefect_api_url(load_settings()),
        name,
        _pairs(param or [], "--param"),
        say=say,
    )
    if not final.completed:
        err.print(f"[red]{final.run_name} ended {final.name}:[/] {_escaped(final.message or 'no message')}")
        raise typer.Exit(1)


@app.command()
def verify(
    *,
    date: OptionalDay = None,
    min_answers: Annotated[int, typer.Option(help="Answers of the last 7 days")] = 1,
    min_items: Annotated[int, typer.Option(help="Calibrated items")] = 10,
    min_users: Annotated[int, typer.Option(help="Learners with an ability")] = 10,
    min_anchors: Annotated[int, typer.Option(help="Anchors with parameters")] = 2,
    max_age_hours: Annotated[float, typer.Option(help="Age of the last calibration")] = 26.0,
) -> None:
    """Run the operators' checks and say OK or FAIL for each; fail when one fails."""
    expected = Expectations(min_answers, min_items, min_users, min_anchors, max_age_hours)
    with database() as engine, engine.connect() as connection:
        chosen = load_settings()
        measured = measure(
            connection,
            date or yesterday(),
            feature_days=chosen.agg_lookback_days,
            kpi_days=chosen.kpi_lookback_days,
        )
    checks = judge(measured, expected, dt.datetime.now(dt.UTC))
    for check in checks:
        word = "[green]OK  [/]" if check.ok else "[red]FAIL[/]"
        out.print(f"{word} {check.name}: {check.detail}" + ("" if check.ok else f" → {check.resolution}"))
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


@app.command()
def summary() -> None:
    """Sum up what the tables hold, where the data lie and where to look."""
    with database() as engine:
        out.print(render(summarise(engine, load_settings())))
