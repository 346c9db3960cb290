"""The command that issues development tokens."""

import datetime as dt
from typing import Annotated

import typer

from seedtest.settings import load_settings

MOST_MINUTES = 7 * 24 * 60


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command()(token)


def token(
    *,
    user: Annotated[str, typer.Option(help="Who the token is for, its `sub`: a learner's id or any name")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="analysis:run, exam:write or reports:view; repeat for more", metavar="SCOPE"),
    ] = None,
    minutes: Annotated[int, typer.Option(min=1, max=MOST_MINUTES, help="How long it is valid")] = 60,
) -> None:
    """Print a token that the embedded stack's API accepts, and no other API does."""
    # Here and not above: other commands need no cryptography.
    from seedtest.local.development_keys import development_key  # noqa: PLC0415

    settings = load_settings()
    issued = development_key(settings.home).token(
        user, scope or [], dt.timedelta(minutes=minutes), audience=settings.jwt_aud
    )
    typer.echo(issued)
