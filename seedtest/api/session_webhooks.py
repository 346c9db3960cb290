"""`webhooks/session-completed`: sessions that ask for a new θ, and what becomes of them."""

from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Response
from sqlalchemy.engine import Connection

from seedtest.api.auth.caller import READERS, Caller
from seedtest.api.auth.challenges import insufficient_scope
from seedtest.api.auth.webhooks import ReceivedWebhook
from seedtest.api.openapi import request_body
from seedtest.api.theta_answers import SessionStatus, WebhookAnswer
from seedtest.api.theta_parts import PREFIX, WITH_A_BODY, Parts, refusals
from seedtest.api.theta_requests import ID_PATTERN, LONGEST_ID, SessionCompletedBody, read_body
from seedtest.db.learner_reads import StoredAbility, online_ability
from seedtest.errors import RequestError
from seedtest.theta_queue import SessionCompleted, SessionRequest, find_request

WEBHOOK: Final = "/webhooks/session-completed"
EXAMPLE: Final = {
    "session_id": "session-456",
    "user_id": "test-user-123",
    "completed_at": "2026-11-05T09:30:00Z",
}
KEPT: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "description": "The report is committed",
        "headers": {"Location": {"description": "The status URL", "schema": {"type": "string"}}},
    }
}
SessionId = Annotated[str, Path(min_length=1, max_length=LONGEST_ID, pattern=ID_PATTERN)]


def router(parts: Parts) -> APIRouter:
    """Return the endpoints."""
    routes = APIRouter(tags=["webhooks"])

    @routes.post(
        WEBHOOK,
        status_code=HTTPStatus.ACCEPTED,
        operation_id="sessionCompleted",
        responses=KEPT | refusals(*WITH_A_BODY, 409),
        openapi_extra=request_body(SessionCompletedBody, EXAMPLE),
    )
    async def session_completed(
        response: Response, received: Annotated[ReceivedWebhook, Depends(parts.webhooks)]
    ) -> WebhookAnswer:
        """Take note that a session has ended; the same report again is the same request."""
        await parts.limits.webhooks.admit(received.caller)
        body = read_body(SessionCompletedBody, received.body)
        completed = SessionCompleted(body.session_id, body.user_id, body.completed_at)
        accepted = await parts.inbox.accept(completed)
        response.headers["Location"] = url = status_url(body.session_id)
        return WebhookAnswer(status=accepted.request.status.value, session_id=body.session_id, status_url=url)

    @routes.get(WEBHOOK + "/{session_id:path}", operation_id="sessionStatus", responses=refusals(404))
    async def session_status(
        session_id: SessionId, caller: Annotated[Caller, Depends(parts.tokens)]
    ) -> SessionStatus:
        """Tell what became of a session's report."""
        await parts.limits.requests.admit(caller)
        found = await parts.requests.run(lambda connection: _find(connection, session_id))
        if found is None:
            if caller.scopes.isdisjoint(READERS):
                # A learner is not told which sessions there are.
                raise insufficient_scope(READERS)
            raise RequestError("session_id: this session was never reported.", status=404)
        caller.require_reader(found.user_id)
        return found

    return routes


def status_url(session_id: str) -> str:
    """Return the path under which a session's status is found."""
    return f"{PREFIX}{WEBHOOK}/{quote(session_id, safe='')}"


def _find(connection: Connection, session_id: str) -> SessionStatus | None:
    request = find_request(connection, session_id)
    return None if request is None else SessionStatus.of(request, _ability(connection, request))


def _ability(connection: Connection, request: SessionRequest) -> StoredAbility | None:
    if request.ability_as_of is None:
        return None
    return online_ability(connection, request.user_id, request.ability_as_of)
