"""Around every request: an id, a line in the access log, metrics."""

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedtest.api.json_lines import current_request
from seedtest.api.metrics import HttpMetrics

logger = logging.getLogger(__name__)

REQUEST_ID: Final = "X-Request-Id"
SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
NO_ROUTE: Final = "other"


class Observing:
    """ASGI middleware that observes requests.

    The log names the route and not the address asked for: an address may carry a learner's id.
    """

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, status, begun = _request_id(scope), 500, time.monotonic()

        scope.setdefault("state", {})["request_id"] = request_id
        current_request.set(request_id)

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            self._record(scope, request_id, status, time.monotonic() - begun)

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else NO_ROUTE
        path = getattr(scope.get("route"), "path", NO_ROUTE)
        self._metrics.observe(method, path, status, seconds)
        fields = {
            "request_id": request_id,
            "method": method,
            "path": path,
            "status": status,
            "seconds": round(seconds, 4),
        }
        logger.info("%s %s %d", method, path, status, extra={"fields": fields})


def _request_id(scope: Scope) -> str:
    """Return the caller's id for this request if it is one, else a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if SANE_ID.fullmatch(given) else uuid.uuid4().hex
