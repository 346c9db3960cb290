"""Is it up, can it work, what has it counted: the θ API's probes, open to everybody."""

import datetime as dt
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Response

from seedtest.api.readiness import Ready, Verdict
from seedtest.api.theta_answers import Health
from seedtest.api.theta_parts import Parts
from seedtest.version import PACKAGE_VERSION

SERVICE: Final = "seedtest-api"


def router(parts: Parts) -> APIRouter:
    """Return the probes."""
    routes = APIRouter(tags=["probes"])
    routes.get("/metrics", operation_id="metrics", response_class=Response)(parts.metrics.exposition)

    @routes.get("/healthz", operation_id="healthz")
    async def healthz() -> Health:
        """Say that the process answers, whatever it needs."""
        return Health(service=SERVICE, version=PACKAGE_VERSION, time=dt.datetime.now(dt.UTC))

    @routes.get(
        "/readyz",
        operation_id="readyz",
        responses={503: {"model": Ready, "description": "The database or the key set cannot be used"}},
    )
    async def readyz(response: Response) -> Ready:
        """Say whether the service can work, and what is wrong with what it needs."""
        found = await parts.readiness.look()
        if found.status is Verdict.UNREADY:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return found

    return routes
