"""The commands that look at the queue of sessions that ask for a new θ, and replay what was given up."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.engine import Engine

from seedtest.db.theta_requests import RequestStatus, SessionRequest, listed
from seedtest.errors import StackError
from seedtest.local.addresses import prefect_api_url
from seedtest.local.database import database
from seedtest.settings import load_settings
from seedtest.theta_queue import queue_state, replay
from seedtest.theta_trigger import wake_once

MOST_LISTED = 100

out = Console(highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    commands = typer.Typer(
        help="Look at the sessions that wait for a new θ; replay those given up.", no_args_is_help=True
    )
    commands.command("status")(status)
    commands.command("list")(list_)
    commands.command("replay")(replay_)
    app.add_typer(commands, name="theta")


def status() -> None:
    """Say how many sessions wait, how long the oldest has waited, and how many were given up."""
    with database() as engine, engine.connect() as connection:
        state = queue_state(connection)
    oldest = (
        "" if state.oldest_pending_secs is None else f", the oldest for {state.oldest_pending_secs:.0f} s"
    )
    out.print(f"{state.pending:,} sessions wait for a new θ{oldest}; {state.parked:,} are parked")


def list_(
    *,
    parked: Annotated[bool, typer.Option("--parked", help="Only sessions that were given up")] = False,
    most: Annotated[int, typer.Option(min=1, help="Sessions to show")] = MOST_LISTED,
) -> None:
    """List the sessions that wait or were given up, the oldest first, with the reasons."""
    statuses = [RequestStatus.PARKED] if parked else [RequestStatus.PENDING, RequestStatus.PARKED]
    with database() as engine, engine.connect() as connection:
        requests = listed(connection, statuses, most=most)
    out.print(_table(requests) if requests else "There are none.")
    if len(requests) == most:
        out.print(f"There may be more: --most shows more than {most}.")


def replay_(
    sessions: Annotated[list[str] | None, typer.Argument(metavar="SESSION…")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All sessions that are parked")] = False,
) -> None:
    """Let parked sessions wait for a new θ again, from their first try on, and ask for the run."""
    if everything == bool(sessions):
        raise typer.BadParameter("name the sessions to replay, or --all")
    with database() as engine:
        with engine.begin() as connection:
            n_replayed = replay(connection, sessions)
        out.print(f"{n_replayed:,} sessions wait for a new θ again")
        if n_replayed:
            _wake(engine)


def _wake(engine: Engine) -> None:
    """Ask for the run; without a Prefect server the sessions still wait for the next one."""
    try:
        wake_once(engine, prefect_api_url(load_settings()))
    except StackError as error:
        out.print(escape(f"No run could be asked for, so theta-sweep will take them up: {error}"))


def _table(requests: list[SessionRequest]) -> Table:
    table = Table("session", "user", "status", "requested (UTC)", "tries", "reason", box=None)
    for request in requests:
        table.add_row(
            escape(request.session_id),
            escape(request.user_id),
            request.status,
            f"{request.requested_at:%Y-%m-%d %H:%M:%S}",
            str(request.attempts),
            escape(request.reason or ""),
        )
    return table
