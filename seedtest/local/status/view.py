"""The status of the stack as a person reads it in a terminal."""

from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from seedtest.local.status.look import DatabaseStatus, PrefectStatus, ProcessStatus, StackStatus

_STATE_STYLES = {
    "RUNNING": "green",
    "Completed": "green",
    "Running": "cyan",
    "Failed": "red",
    "Crashed": "red",
    "FATAL": "red",
    "BACKOFF": "red",
}


def render(status: StackStatus) -> RenderableType:
    """Return everything about the stack, the most important first."""
    return Group(
        _headline(status),
        _addresses(status),
        *([_processes(status.processes)] if status.processes else []),
        *([_tables(status.database)] if status.database.tables else []),
        *([_runs(status.prefect)] if status.prefect.runs else []),
    )


def _headline(status: StackStatus) -> Text:
    if status.running:
        return Text("The stack runs.", style="bold green")
    if status.processes:
        return Text("The stack runs in part; `seedtest up` starts what is missing.", style="bold yellow")
    return Text("The stack is down; `seedtest up` starts it.", style="bold yellow")


def _addresses(status: StackStatus) -> Table:
    """Return where everything is, in which version, or why it cannot be said."""
    table = Table.grid(padding=(0, 2))
    database, prefect = status.database, status.prefect
    table.add_row("Home", str(status.home))
    table.add_row("Data", f"{status.data_folder} ({_bytes(status.data_bytes)} in all)")
    table.add_row("Prefect UI", prefect.ui_url or "–")
    table.add_row("PREFECT_API_URL", prefect.api_url or "–")
    table.add_row("DATABASE_URL", database.address or "–")
    for service in status.services:
        table.add_row(service.name, f"{service.address} ({service.health})")
    versions = {
        "seedtest": status.seedtest_version,
        "Prefect": prefect.version,
        "PostgreSQL": database.version,
    }
    table.add_row("Versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version))
    for problem in filter(None, [database.problem, prefect.problem]):
        table.add_row(Text("Problem", style="yellow"), Text(problem))
    return table


def _processes(processes: tuple[ProcessStatus, ...]) -> Table:
    table = Table("Process", "State", "Pid", "Up for", "Log", title="Processes", title_justify="left")
    for process in processes:
        pid = str(process.pid) if process.pid else "–"
        uptime = str(process.uptime) if process.uptime is not None else "–"
        table.add_row(process.name, _state(process.state), pid, uptime, str(process.log))
    return table


def _tables(database: DatabaseStatus) -> Table:
    table = Table("Table", title="Rows", title_justify="left")
    table.add_column("Rows", justify="right")
    for rows in database.tables:
        table.add_row(rows.table, f"{rows.n_rows:,}")
    return table


def _runs(prefect: PrefectStatus) -> Table:
    table = Table("Flow", "Run", "State", "Started (UTC)", title="Last runs", title_justify="left")
    table.add_column("Took", justify="right")
    for run in prefect.runs:
        start = f"{run.start:%Y-%m-%d %H:%M:%S}" if run.start else "–"
        took = str(timedelta(seconds=round(run.duration.total_seconds())))
        table.add_row(run.flow, run.name, _state(run.state), start, took)
    return table


def _state(state: str) -> Text:
    return Text(state, style=_STATE_STYLES.get(state, "yellow"))


def _bytes(n_bytes: int) -> str:
    """Return a size in the largest unit that keeps it above one."""
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
