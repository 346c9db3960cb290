"""The command that runs a stage over past days."""

import datetime as dt
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from seedtest.backfill import plan_backfill
from seedtest.local.addresses import prefect_api_url
from seedtest.local.runs import run_deployment
from seedtest.settings import load_settings

DEPLOYMENT = "backfill"
DAY = ["%Y-%m-%d"]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command()(backfill)


def backfill(
    flow: Annotated[str, typer.Argument(help="Stage: aggregate-features-daily or compute-daily-kpis")],
    *,
    first: Annotated[dt.datetime, typer.Option("--from", formats=DAY, help="First day (UTC)")],
    last: Annotated[dt.datetime, typer.Option("--to", formats=DAY, help="Last day, yesterday at the latest")],
    window_days: Annotated[
        int | None, typer.Option(help="Days of one run of the features; KPIs go by weeks")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Also windows that are done already")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is to do, run nothing")] = False,
) -> None:
    """Run a stage over past days, window by window; the same command again goes on where it was left."""
    today = dt.datetime.now(dt.UTC).date()
    # The run does the same; here the refusal comes at once.
    plan = plan_backfill(flow, first.date(), last.date(), window_days=window_days, today=today)
    parameters = {
        "flow": plan.flow,
        "from_date": str(plan.days.first_day),
        "to_date": str(plan.days.last_day),
        "restart": str(restart).lower(),
        "dry_run": str(dry_run).lower(),
    }
    if window_days is not None:
        parameters["window_days"] = str(window_days)
    out.print(f"{plan}: {len(plan.windows)} windows", markup=False)
    final = run_deployment(
        prefect_api_url(load_settings()),
        DEPLOYMENT,
        parameters,
        say=lambda line: out.print(line, markup=False),
    )
    if not final.completed:
        err.print(f"[red]{final.run_name} ended {final.name}:[/] {escape(final.message or 'no message')}")
        raise typer.Exit(1)
