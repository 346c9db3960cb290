"""One call of the IRT service: a body sent piece by piece, an answer read within bounds, or a `CallError`."""

import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import anyio
import httpx
from anyio.from_thread import start_blocking_portal
from pydantic import SecretStr

from seedtest.errors import IrtServiceError

LONGEST_COMPLAINT_BYTES: Final = 16_384
LONGEST_COMPLAINT_CHARACTERS: Final = 300
"""What is read, and what is quoted, of an answer that says why the service failed."""

ADVICE: Final = {
    HTTPStatus.UNAUTHORIZED: "the token was refused; R_IRT_INTERNAL_TOKEN must be the service's token",
    HTTPStatus.FORBIDDEN: "the token was refused; R_IRT_INTERNAL_TOKEN must be the service's token",
    HTTPStatus.NOT_FOUND: "no IRT service answers there; check R_IRT_BASE_URL",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too many answers for the service; raise its limit or lower "
    "MIRT_MAX_OBS",
}

Pieces = Callable[[], Iterable[bytes]]
"""Gives the body anew for every call: what was sent once cannot be sent again."""


class CallError(IrtServiceError):
    """A call that failed.

    Attributes
    ----------
    is_transient
        Whether the same call may succeed later.
    wait_secs
        How long the service asks to be left alone; None: it does not say.
    status
        HTTP status of the answer; None without one.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_transient: bool,
        wait_secs: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.is_transient = is_transient
        self.wait_secs = wait_secs
        self.status = status


@dataclass(frozen=True)
class Endpoint:
    """Where and how to call.

    Redirects are not followed, since the token would go along; proxies and credentials of the environment
    are not used, since the service stands in the same cluster.

    Attributes
    ----------
    url
        Address of the resource.
    token
        Bearer token; None: none is sent.
    timeout_secs
        Bounds the whole call, from the connection to the last byte of the answer, and so every wait in it.
    """

    url: httpx.URL
    token: SecretStr | None
    timeout_secs: float

    def post(self, body: Pieces, longest_answer_bytes: int) -> bytearray:
        """Send a gzipped JSON body and return the answer, decoded.

        The call runs on an event loop of its own, because only there one deadline can bound it as a whole:
        a blocking socket starts its timeout anew with every byte. An interrupted caller ends the call.

        Raises
        ------
        CallError
            Without an answer of status 200, or with one beyond `longest_answer_bytes`.
        """
        with start_blocking_portal() as portal:
            return portal.call(self._post, body, longest_answer_bytes)

    async def _post(self, body: Pieces, longest_answer_bytes: int) -> bytearray:
        try:
            with anyio.fail_after(self.timeout_secs):
                return await self._exchange(body, longest_answer_bytes)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise CallError(f"timed out after {self.timeout_secs:g} s", is_transient=True) from error
        except httpx.RequestError as error:
            reason = self._without_token(f"{_what_failed(error)}: {_cause(error)}")
            raise CallError(reason, is_transient=True) from error

    async def _exchange(self, body: Pieces, longest_answer_bytes: int) -> bytearray:
        client = httpx.AsyncClient(timeout=self.timeout_secs, trust_env=False, follow_redirects=False)
        async with (
            client,
            client.stream("POST", self.url, content=_each(body()), headers=self._headers()) as response,
        ):
            if response.status_code == HTTPStatus.OK:
                return await _read(response, longest_answer_bytes)
            raise _refusal(response, self._without_token(await _complaint(response)))

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        return headers

    def _without_token(self, text: str) -> str:
        return text if self.token is None else text.replace(self.token.get_secret_value(), "[token]")


async def _each(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _read(response: httpx.Response, longest_bytes: int) -> bytearray:
    answer = bytearray()
    async for piece in response.aiter_bytes():
        answer += piece
        if len(answer) > longest_bytes:
            raise CallError(
                f"the answer is longer than {longest_bytes} bytes, more than any answer to the items and "
                "learners sent",
                is_transient=False,
            )
    return answer


async def _complaint(response: httpx.Response) -> str:
    """Return the `error` of an answer that is not 200; '' without one."""
    text = bytearray()
    try:
        async for piece in response.aiter_bytes():
            text += piece
            if len(text) > LONGEST_COMPLAINT_BYTES:
                return ""
        complaint = json.loads(text)
    except (httpx.RequestError, ValueError):
        # The status alone says enough: a broken explanation must not hide it.
        return ""
    said = complaint.get("error") if isinstance(complaint, dict) else None
    return " ".join(said.split())[:LONGEST_COMPLAINT_CHARACTERS] if isinstance(said, str) else ""


def _refusal(response: httpx.Response, complaint: str) -> CallError:
    status = response.status_code
    is_transient = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    advice = ADVICE.get(HTTPStatus(status)) if status in ADVICE else None
    if response.is_redirect:
        advice = "it redirects elsewhere, where the token must not go; check R_IRT_BASE_URL"
    reason = ": ".join(text for text in (f"HTTP {status}", complaint, advice) if text)
    return CallError(reason, is_transient=is_transient, wait_secs=_asked_wait(response), status=status)


def _asked_wait(response: httpx.Response) -> float | None:
    """Return the seconds of Retry-After, given as such or as a date; None without a readable one."""
    asked = response.headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit():
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _what_failed(error: httpx.RequestError) -> str:
    match error:
        case httpx.ConnectError():
            return "cannot connect"
        case httpx.DecodingError():
            return "the answer cannot be decoded"
        case _:
            return "the connection broke"


def _cause(error: BaseException) -> str:
    """Return what the operating system said, if anything, else the library."""
    by_system = (_said(below) for below in _causes(error) if isinstance(below, OSError) and below.errno)
    return next(by_system, str(error))


def _said(error: OSError) -> str:
    """Return the system's words: those of resolver and TLS stand in the error, asyncio replaces the rest."""
    kept = isinstance(error, socket.gaierror | ssl.SSLError)
    return str(error.strerror) if kept else os.strerror(error.errno or 0)


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    if below := error.__cause__ or error.__context__:
        yield from _causes(below)
