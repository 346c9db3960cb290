"""`python -m deploy --env ENV` brings an environment to what the files say; `undeploy` takes it away."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from deploy.differences import Change
from deploy.environment import FOLDER, ROOT, Environment, load_environment
from deploy.revision import code_sha, tree_at
from deploy.server import api_url_of
from deploy.steps import Release, Step, deploy, strangers, undeploy
from seedtest.errors import ConfigurationError, SeedtestError
from seedtest.version import code_version

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)

Env = Annotated[str, typer.Option("--env", help="Environment, by the name of its file")]
Folder = Annotated[Path, typer.Option("--environments", help="Folder of the environments' files")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing")]
ApiUrl = Annotated[
    str | None, typer.Option("--api-url", help="Another address of the environment's Prefect server")
]
Version = Annotated[
    str | None, typer.Option("--version", help="Tag of images that are there already, instead of the git SHA")
]
Steps = Annotated[str, typer.Option(help=f"Steps, with commas between: {', '.join(Step)}")]
Sha = Annotated[str | None, typer.Option("--sha", help="Deploy the project as it was at this commit")]


@app.command("deploy")
def deploy_command(
    *,
    env: Env,
    dry_run: DryRun = False,
    only: Steps = "",
    skip: Steps = "",
    sha: Sha = None,
    api_url: ApiUrl = None,
    version: Version = None,
    environments: Annotated[
        Path | None, typer.Option(help="Folder of the environments' files, if not the project's own")
    ] = None,
) -> None:
    """Bring an environment to what the files say, and say what that changed."""
    chosen = _chosen(only, skip)
    if sha:
        options = _options(
            env=env, only=only, skip=skip, api_url=api_url, version=version, environments=environments
        )
        _deploy_at(sha, options + (["--dry-run"] if dry_run else []))
        return
    release = _release(load_environment(env, environments or FOLDER), api_url, version, dry_run=dry_run)
    typer.echo(f"{env} at version {release.version}")
    found = _tell(deploy(release, chosen), dry_run=dry_run)
    _tell_end(env, found, dry_run=dry_run)
    if Step.DEPLOYMENTS in chosen:
        _tell_strangers(release)


@app.command("undeploy")
def undeploy_command(
    *,
    env: Env,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    only: Steps = "",
    skip: Steps = "",
    api_url: ApiUrl = None,
    version: Version = None,
    environments: Folder = FOLDER,
) -> None:
    """Take everything away but images, the namespace, and the server's history of runs."""
    chosen = _chosen(only, skip)
    if not (yes or dry_run):
        typer.confirm(
            f"Take all deployments, automations, blocks, pools and workers of {env} away?", abort=True
        )
    # What is taken away is found by its name, whatever version it has.
    release = _release(load_environment(env, environments), api_url, version or "undeployed", dry_run=dry_run)
    _tell_end(env, _tell(undeploy(release, chosen), dry_run=dry_run), dry_run=dry_run)


def _chosen(only: str, skip: str) -> frozenset[Step]:
    return (_steps(only) or frozenset(Step)) - _steps(skip)


def _steps(names: str) -> frozenset[Step]:
    given = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in given if name not in set(Step)]
    if unknown:
        raise ConfigurationError(f"There is no step {unknown[0]}. There are: {', '.join(Step)}.")
    return frozenset(map(Step, given))


def _release(environment: Environment, api_url: str | None, version: str | None, *, dry_run: bool) -> Release:
    found = version or (code_sha(ROOT) if environment.images else code_version())
    return Release(environment, ROOT, found, api_url_of(environment, api_url), dry_run=dry_run)


def _deploy_at(sha: str, options: list[str]) -> None:
    """Let the project as it was at a commit deploy itself, its environments' files included."""
    with tree_at(ROOT, sha) as tree:
        if not (tree / "deploy").is_dir():
            raise ConfigurationError(f"The project at {sha} cannot deploy itself yet. Choose a later commit.")
        done = subprocess.run([sys.executable, "-m", "deploy", *options], cwd=tree, check=False)
    if done.returncode != 0:
        raise typer.Exit(done.returncode)


def _options(**given: str | Path | None) -> list[str]:
    """Return options as they are written on the command line, without those left out."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value]


def _tell(steps: Iterable[tuple[str, tuple[Change, ...]]], *, dry_run: bool) -> int:
    """Say what each step changed as it is done; return how many changes there were."""
    count = 0
    for step, found in steps:
        count += len(found)
        typer.echo(
            f"{step}: {'no change' if not found else f'{len(found)} to change' if dry_run else 'changed'}"
        )
        for change in found:
            typer.echo(f"  {change}")
    return count


def _tell_end(env: str, count: int, *, dry_run: bool) -> None:
    if not count:
        typer.echo(f"{env}: no change")
    elif dry_run:
        typer.echo(f"{env}: {count} changes to make; dry run, so nothing was touched")
    else:
        typer.echo(f"{env}: {count} changes made")


def _tell_strangers(release: Release) -> None:
    for name in strangers(release):
        typer.echo(
            f"{name} still runs in a work pool of {release.environment.name}, but prefect.yaml does not "
            f"name it. To remove it: prefect deployment delete {name}/{name}"
        )


def main() -> None:
    """Run a command; an error raised on purpose is its message and status 1."""
    # The short form: deploying is what this is for.
    if len(sys.argv) > 1 and sys.argv[1] not in {"deploy", "undeploy", "--help"}:
        sys.argv.insert(1, "deploy")
    try:
        app()
    except SeedtestError as error:
        typer.echo(f"{error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
