"""The environment of the stack's processes."""

import os
from collections.abc import Mapping
from pathlib import Path

from seedtest.local.folder import StackFolder
from seedtest.local.ports import HOST
from seedtest.local.supervision.processes import MARKER

_KEPT_PREFECT_SETTINGS = "PREFECT_LOGGING_"


def stack_variables(
    folder: StackFolder, temporary: Path, *, prefect_api_url: str, database_url: str
) -> dict[str, str]:
    """Return the variables that make a process part of the stack."""
    return {
        MARKER: str(folder.home),
        "SEEDTEST_HOME": str(folder.home),
        # Prefect's workers of all users would share one folder in /tmp, which only the first may write to.
        "TMPDIR": str(temporary),
        "DATABASE_URL": database_url,
        "PREFECT_API_URL": prefect_api_url,
        "PREFECT_HOME": str(folder.prefect),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(folder.results),
        # The default is inside the installed package, which may belong to somebody else.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder.prefect / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # A run starts a second after it is asked for rather than ten.
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        # A worker counts as offline after three missed ones.
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "seedtest",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
        "PYTHONUNBUFFERED": "1",
    }


def with_inherited(variables: Mapping[str, str], *, own_server: bool) -> dict[str, str]:
    """Return our own environment with the stack's variables over it.

    With a server of our own, Prefect's settings for another server stay outside, and no proxy
    comes between the stack's processes.
    """
    inherited = dict(os.environ)
    if own_server:
        inherited = {name: value for name, value in inherited.items() if not _is_for_another_server(name)}
        direct = ",".join(filter(None, [inherited.get("NO_PROXY") or inherited.get("no_proxy"), HOST]))
        inherited |= {"NO_PROXY": direct, "no_proxy": direct}
    return {**inherited, **variables}


def _is_for_another_server(name: str) -> bool:
    """Whether a variable configures Prefect, other than how it logs."""
    return name.startswith("PREFECT_") and not name.startswith(_KEPT_PREFECT_SETTINGS)
