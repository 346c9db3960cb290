"""`python -m blocks register` makes a Prefect server's blocks what the table says; `check` tries them out."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from blocks.check import check as checked
from blocks.diagnosis import Diagnosis, Level
from blocks.registration import Change, ChangeKind
from blocks.registration import register as registered
from deploy.environment import FOLDER, load_environment
from deploy.server import api_url_of, claim, connected
from seedtest.errors import SeedtestError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
Name = Annotated[str, typer.Option("--env", help="Environment, by the name of its file")]
Folder = Annotated[Path, typer.Option("--environments", help="Folder of the environments' files")]
ApiUrl = Annotated[
    str | None, typer.Option("--api-url", help="Another address of the environment's Prefect server")
]


@app.command()
def register(
    *,
    env: Name,
    environments: Folder = FOLDER,
    api_url: ApiUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing")] = False,
) -> None:
    """Create, update and remove blocks on the environment's Prefect server, and say which."""
    environment = load_environment(env, environments)
    with connected(api_url_of(environment, api_url)) as client:
        claim(environment, client, dry_run=dry_run)
        _tell_changes(registered(environment.blocks, client, dry_run=dry_run), dry_run=dry_run)


@app.command()
def check(*, env: Name, environments: Folder = FOLDER, api_url: ApiUrl = None) -> None:
    """Load every block, touch what it points at, and say what is wrong and how to mend it."""
    environment = load_environment(env, environments)
    with connected(api_url_of(environment, api_url)) as client:
        claim(environment, client, dry_run=True)
        levels = _tell_findings(checked(environment.blocks))
    if Level.ERROR in levels:
        raise typer.Exit(1)


def _tell_changes(changes: Iterable[Change], *, dry_run: bool) -> None:
    changed = 0
    for change in changes:
        changed += change.kind is not ChangeKind.UNCHANGED
        typer.echo(str(change))
    if not changed:
        typer.echo("No change.")
    else:
        typer.echo(f"{changed} {'would change; dry run: nothing did' if dry_run else 'changed'}.")


def _tell_findings(findings: Iterable[Diagnosis]) -> set[Level]:
    levels = set()
    for finding in findings:
        levels.add(finding.level)
        typer.echo(f"{finding.level:<8}{finding.subject}: {finding.summary}")
        for line in filter(None, (finding.detail, finding.resolution)):
            typer.echo(f"        {' '.join(line.split())}")
    return levels


def main() -> None:
    """Run a command; an error raised on purpose is its message and status 1."""
    try:
        app()
    except SeedtestError as error:
        typer.echo(f"{error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
