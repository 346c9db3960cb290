"""The environment of the stack's processes."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from seedtest.local.folder import StackFolder
from seedtest.local.object_store import ObjectStore
from seedtest.local.ports import HOST
from seedtest.local.servers import Servers
from seedtest.local.supervision.processes import MARKER
from seedtest.settings import Settings

_KEPT_PREFECT_SETTINGS = "PREFECT_LOGGING_"


def stack_variables(
    folder: StackFolder, temporary: Path, servers: Servers, database_url: str
) -> dict[str, str]:
    """Return the variables that make a process part of the stack."""
    return {
        MARKER: str(folder.home),
        "SEEDTEST_HOME": str(folder.home),
        # Prefect's workers of all users would share one folder in /tmp, which only the first may write to.
        "TMPDIR": str(temporary),
        "DATABASE_URL": database_url,
        "PREFECT_API_URL": servers.prefect.api_url,
        "THETA_API_URL": servers.theta_api_url,
        "PREFECT_HOME": str(folder.prefect),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(folder.results),
        # The default is inside the installed package, which may belong to somebody else.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder.prefect / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # A run starts a second after it is asked for rather than ten.
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        # A run that waits for its deployment's place looks again every second rather than every thirty.
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        # A worker counts as offline after three missed ones.
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "seedtest,reports",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
        "PYTHONUNBUFFERED": "1",
    }


def token_variables(settings: Settings) -> dict[str, str]:
    """Return what makes the API accept tokens of `seedtest token`, unless the keys of others are set."""
    if settings.jwks_url is not None or settings.jwt_public_key is not None:
        return {}
    # Here and not above: cryptography is slow to load, and most commands start nothing.
    from seedtest.local.development_keys import DEVELOPMENT_ISSUER, development_key  # noqa: PLC0415

    return {"JWT_PUBLIC_KEY": development_key(settings.home).public_pem, "JWT_ISS": DEVELOPMENT_ISSUER}


def store_variables(store: ObjectStore, settings: Settings) -> dict[str, str]:
    """Return what leads Amazon's client to the embedded object store, and opens it."""
    return {
        "S3_ENDPOINT_URL": store.servers.url,
        "S3_BUCKET": store.bucket,
        "REPORT_LINK_BASE": settings.report_link_base or store.servers.links_url,
        "AWS_REGION": settings.aws_region,
        "AWS_ACCESS_KEY_ID": store.keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": store.keys.secret_access_key.get_secret_value(),
        "RCLONE_AUTH_KEY": store.keys.for_rclone,
        # Not the user's own.
        "RCLONE_CONFIG": os.devnull,
    }


def with_inherited(variables: Mapping[str, str], *, own_server: bool, own_store: bool) -> dict[str, str]:
    """Return our own environment with the stack's variables over it.

    With a Prefect server or an object store of our own, settings for others stay outside; no proxy comes
    between the stack's processes.
    """
    others = (
        *((_is_for_another_server,) if own_server else ()),
        *((_is_for_another_store,) if own_store else ()),
    )
    inherited = {name: value for name, value in os.environ.items() if not any(is_(name) for is_ in others)}
    direct = ",".join(filter(None, [inherited.get("NO_PROXY") or inherited.get("no_proxy"), HOST]))
    # Deployments name Python as it is called in an image.
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    return {**inherited, "PATH": path, "NO_PROXY": direct, "no_proxy": direct, **variables}


def _is_for_another_server(name: str) -> bool:
    """Whether a variable configures Prefect, other than how it logs."""
    return name.startswith("PREFECT_") and not name.startswith(_KEPT_PREFECT_SETTINGS)


def _is_for_another_store(name: str) -> bool:
    """Whether a variable configures Amazon's client or rclone."""
    return name.startswith(("AWS_", "RCLONE_"))
