"""The commands that run services."""

import logging
import sys
from typing import Annotated

import typer

from seedtest.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command()(irt_service)


def irt_service(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: all")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on")] = 8080,
) -> None:
    """Serve calibration and scoring over HTTP until interrupted; docs/irt-service.md describes it."""
    # Here and not above: other commands need no web server.
    import uvicorn  # noqa: PLC0415

    from seedtest.api.irt_service import IrtServiceConfig, create_app  # noqa: PLC0415
    from seedtest.api.json_lines import JsonLines  # noqa: PLC0415
    from seedtest.irt.warm import warm  # noqa: PLC0415

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    application = create_app(IrtServiceConfig.from_settings(load_settings()))
    # Once /healthz answers, the first request has no kernels to wait for.
    warm()
    # The application writes an access log of its own, without addresses.
    uvicorn.run(application, host=host, port=port, log_config=None, access_log=False)
