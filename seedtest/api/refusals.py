"""Errors as answers: {error: message}, and never a trace."""

from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from seedtest.errors import RequestError

CLIENT_GONE: Final = 499
"""What access logs and metrics show of a request whose client left; nobody receives it."""


class ErrorAnswer(BaseModel):
    """What was wrong."""

    error: str = Field(description="What was wrong, and with which field")


def install(app: FastAPI) -> None:
    """Make every error of an application an {error} body."""

    @app.exception_handler(RequestError)
    async def refused(_request: Request, error: RequestError) -> Response:
        return JSONResponse({"error": str(error)}, error.status, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def misled(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where, name = first["loc"][0], ".".join(str(part) for part in first["loc"][1:])
        what = "required" if first["type"] == "missing" else f"{first['msg'].removeprefix('Value error, ')}"
        return JSONResponse({"error": f"invalid {where}: {name}: {what}"}, 400)

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        where = f"{request.method} {request.url.path}"
        return JSONResponse({"error": f"{error.detail}: {where}"}, error.status_code, headers=error.headers)

    @app.exception_handler(ClientDisconnect)
    async def left(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_GONE)

    @app.exception_handler(Exception)
    async def failed(request: Request, _error: Exception) -> Response:
        # Starlette raises the error again once this is sent; the server logs its trace.
        where = f"the log of the service has the details of request {request.state.request_id}"
        return JSONResponse({"error": f"Internal error; {where}."}, 500)
