"""The commands that run services."""

import logging
import math
import sys
from enum import StrEnum
from typing import Annotated

import typer

from seedtest.local.addresses import database_url, prefect_api_url
from seedtest.settings import load_settings

Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: all")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on")]


class LogLevel(StrEnum):
    """How much a service tells."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command()(irt_service)
    app.command()(api)


def irt_service(*, host: Host = "127.0.0.1", port: Port = 8080) -> None:
    """Serve calibration and scoring over HTTP until interrupted; docs/irt-service.md describes it."""
    # Here and not above: other commands need no web server.
    import uvicorn  # noqa: PLC0415

    from seedtest.api.irt_service import IrtServiceConfig, create_app  # noqa: PLC0415
    from seedtest.irt.warm import warm  # noqa: PLC0415

    _log_as_json(LogLevel.INFO)
    application = create_app(IrtServiceConfig.from_settings(load_settings()))
    # Once /healthz answers, the first request has no kernels to wait for.
    warm()
    # The application writes an access log of its own, without addresses.
    uvicorn.run(application, host=host, port=port, log_config=None, access_log=False)


def api(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    log_level: Annotated[LogLevel, typer.Option(help="Least level of the lines logged")] = LogLevel.INFO,
) -> None:
    """Serve θ after a session, webhooks and reads until interrupted; docs/theta-api.md describes it."""
    import uvicorn  # noqa: PLC0415

    from seedtest.api.theta_parts import ThetaServiceConfig  # noqa: PLC0415
    from seedtest.api.theta_service import create_app  # noqa: PLC0415
    from seedtest.irt.warm import warm  # noqa: PLC0415

    _log_as_json(log_level)
    settings = load_settings()
    config = ThetaServiceConfig.from_settings(
        settings, database_url=database_url(settings), prefect_api_url=prefect_api_url(settings)
    )
    application = create_app(config)
    warm()
    uvicorn.run(
        application,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        # What was accepted is answered before the process ends.
        timeout_graceful_shutdown=math.ceil(settings.api_timeout_secs) + 1,
    )


def _log_as_json(level: LogLevel) -> None:
    """Log our own lines and the server's from a level on, and of all others warnings alone.

    At lower levels database drivers and HTTP clients quote rows, headers and addresses.
    """
    from seedtest.api.json_lines import JsonLines  # noqa: PLC0415

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in ("seedtest", "uvicorn"):
        logging.getLogger(name).setLevel(level.value.upper())
