"""`POST analysis/irt/update-theta`: a learner's θ, now (domain §7)."""

import logging
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from sqlalchemy.engine import Connection

from seedtest.api.auth.caller import Caller, Scope
from seedtest.api.auth.tokens import require_scopes
from seedtest.api.bodies import read_pieces
from seedtest.api.database import Database
from seedtest.api.guarding import FAILURE
from seedtest.api.openapi import request_body
from seedtest.api.theta_answers import NOOP_EXAMPLE, UPDATED_EXAMPLE, NotUpdated, Updated, updated
from seedtest.api.theta_parts import WITH_A_BODY, Parts, refusals
from seedtest.api.theta_requests import UpdateThetaBody, read_body
from seedtest.errors import (
    CalibrationError,
    ConfigurationError,
    DataError,
    IrtServiceError,
    RequestError,
)
from seedtest.online import NoopReason, ThetaUpdate, update_theta
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

FAILED: Final = "theta_update_failed"
EXAMPLE: Final = {
    "user_id": "test-user-123",
    "session_id": "session-456",
    "lookback_days": 30,
    "model": "2PL",
    "version": "v1",
}
OUTCOMES: Final[dict[str, Any]] = {
    "description": "The new θ, or that there is none",
    "content": {
        "application/json": {
            "examples": {
                "ok": {"summary": "θ was updated", "value": UPDATED_EXAMPLE},
                "noop": {"summary": "Nothing to estimate it from", "value": NOOP_EXAMPLE},
            }
        }
    },
}


def router(parts: Parts) -> APIRouter:
    """Return the endpoint."""
    routes = APIRouter(tags=["θ"])
    scoring = parts.config.scoring
    updaters = require_scopes(parts.tokens, Scope.ANALYSIS_RUN, Scope.EXAM_WRITE)

    @routes.post(
        "/analysis/irt/update-theta",
        operation_id="updateTheta",
        responses={200: OUTCOMES, **refusals(*WITH_A_BODY)},
        openapi_extra=request_body(UpdateThetaBody, EXAMPLE),
    )
    async def update(request: Request, caller: Annotated[Caller, Depends(updaters)]) -> Updated | NotUpdated:
        """Estimate a learner's θ from their recent answers, and keep it."""
        setattr(request.state, FAILURE, FAILED)
        await parts.limits.requests.admit(caller)
        text = b"".join([piece async for piece in read_pieces(request, parts.body_limits)])
        body = read_body(UpdateThetaBody, text)
        with parts.metrics.timing_update() as updating:
            found = await _update(parts.requests, scoring, body)
            updating.status = found.status
        if found.reason is NoopReason.ENGINE_DOWN:
            parts.metrics.engine_errors.inc()
        return updated(found)

    return routes


async def _update(database: Database, settings: Settings, body: UpdateThetaBody) -> ThetaUpdate:
    def work(connection: Connection) -> ThetaUpdate:
        return update_theta(
            connection,
            body.user_id,
            settings=settings,
            lookback_days=body.lookback_days or settings.theta_lookback_days,
        )

    try:
        return await database.run(work)
    except (DataError, ConfigurationError) as error:
        # Such an error names an item or a setting, and no learner.
        logger.error("%s: %s", FAILED, error)  # noqa: TRY400 (where it was raised tells no more)
        raise RequestError(f"{FAILED}: {error}", status=500) from None
    except (CalibrationError, IrtServiceError) as error:
        # The words of another service: for who asked, and not for the log.
        logger.error("%s: %s", FAILED, type(error).__name__)  # noqa: TRY400 (likewise)
        raise RequestError(f"{FAILED}: {error}", status=500) from None
