"""Around every request: an end in time, and nothing of a failure but that it happened."""

import asyncio
import logging
import traceback
from pathlib import PurePath
from typing import Any, Final

from psycopg2 import Error as DriverError
from sqlalchemy.exc import DBAPIError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

FAILURE: Final = "failure"
"""Under this name a request's state may hold what its failures begin with."""
INTERNAL: Final = "Internal error"


class Guarding:
    """ASGI middleware that bounds the time of requests and answers for what nobody caught.

    The log has the kind of an error and where it was raised, and not its text: that may quote what was sent.
    """

    def __init__(self, app: ASGIApp, timeout_secs: float) -> None:
        self._app, self._timeout_secs = app, timeout_secs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        progress = _Progress(receive, send)
        deadline = asyncio.timeout(self._timeout_secs)
        try:
            async with deadline:
                await self._app(scope, progress.receive, progress.send)
        except Exception as error:
            answer = self._late(progress) if deadline.expired() else _failed(scope, error)
            if progress.answered:
                # The answer is cut off: only a broken connection can say so.
                raise
            await answer(scope, receive, send)

    def _late(self, progress: "_Progress") -> JSONResponse:
        within = f"within {self._timeout_secs:g} s"
        if progress.body_came:
            error = f"No result {within}; what was begun may still be done. Try again."
            return JSONResponse({"error": error}, 504, headers={"Retry-After": "1"})
        return JSONResponse(
            {"error": f"The body did not come {within}."}, 408, headers={"Connection": "close"}
        )


class _Progress:
    """How far a request has come."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.body_came = self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.body_came = self.body_came or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self.answered = True
        await self._send(message)


def _failed(scope: Scope, error: Exception) -> JSONResponse:
    request_id = scope["state"]["request_id"]
    logger.error("A request failed: %s", type(error).__name__, extra={"fields": failure(error)})
    what = scope["state"].get(FAILURE, INTERNAL)
    where = f"the log of the service has the details of request {request_id}"
    return JSONResponse({"error": f"{what}: {where}."}, 500)


def failure(error: BaseException) -> dict[str, Any]:
    """Return the kind of an error and of what caused it, and where each was raised."""
    fields: dict[str, Any] = {"kind": type(error).__name__, "raised": _places(error)}
    if isinstance(error, DBAPIError) and isinstance(error.orig, DriverError):
        fields["sqlstate"] = error.orig.pgcode
    cause = error.__cause__ or error.__context__
    return fields if cause is None else fields | {"cause": failure(cause)}


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{'/'.join(PurePath(f.filename).parts[-3:])}:{f.lineno} {f.name}" for f in frames]
