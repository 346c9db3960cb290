"""Requests to Prefect's REST API that outlast a server's restart."""

import contextlib
from collections.abc import Mapping
from typing import TypeVar

import httpx
from pydantic import TypeAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from seedtest.errors import StackError
from seedtest.say import Say
from seedtest.settings import Settings, load_settings

_REQUEST_TIMEOUT_SECS = 30.0
# Prefect's own limit of a page.
_PAGE = 200
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_AWAY = {502, 503, 504}

Row = TypeVar("Row")


class PrefectHttp:
    """Sends requests to one server; a server that is away for a while is waited for."""

    def __init__(self, url: str, *, patience_secs: float, say: Say) -> None:
        self.url = url.rstrip("/")
        self._patience_secs = patience_secs
        self._say = say
        # A proxy of the environment knows nothing of this machine's own ports.
        through_proxy = httpx.URL(url).host not in _LOOPBACK
        self._client = httpx.Client(
            base_url=f"{self.url}/",
            timeout=_REQUEST_TIMEOUT_SECS,
            trust_env=through_proxy,
            auth=_credentials(load_settings()),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def is_healthy(self) -> bool:
        """Whether the server answers now; asked once."""
        try:
            return self._client.get("health", timeout=2).is_success
        except httpx.TransportError:
            return False

    def pages(self, path: str, rows: TypeAdapter[list[Row]], body: Mapping[str, object]) -> list[Row]:
        """Return every row of a filter, page by page."""
        found: list[Row] = []
        while True:
            answer = self.request("POST", path, {**body, "limit": _PAGE, "offset": len(found)})
            page = rows.validate_json(answer.content)
            found += page
            if len(page) < _PAGE:
                return found

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        refused_by: frozenset[int] | set[int] = frozenset(),
    ) -> httpx.Response:
        """Send a request until it is answered; error codes in `refused_by` are the caller's."""
        patiently = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_delay(self._patience_secs),
            wait=wait_exponential(multiplier=0.25, max=1),
            before_sleep=self._tell_of_absence,
            reraise=True,
        )
        try:
            return patiently(self._send, method, path, body, refused_by)
        except httpx.TransportError as error:
            raise StackError(
                f"Prefect's server at {self.url} does not answer: {error}. "
                "Start it with `seedtest up`, or correct PREFECT_API_URL."
            ) from error
        except httpx.HTTPStatusError as error:
            raise StackError(
                f"Prefect's server at {self.url} answers {error.response.status_code} to {method} {path}: "
                f"{detail(error.response)}. Its log says more; `seedtest status` names it."
            ) from error

    def _send(
        self, method: str, path: str, body: Mapping[str, object] | None, refused_by: frozenset[int]
    ) -> httpx.Response:
        answer = self._client.request(method, path, json=body)
        if answer.status_code not in refused_by:
            answer.raise_for_status()
        return answer

    def _tell_of_absence(self, retry: RetryCallState) -> None:
        """Say once a request that the server is away."""
        if retry.attempt_number == 1:
            patience = f"{self._patience_secs:.0f} s"
            self._say(f"Prefect's server at {self.url} does not answer: trying again for {patience}")


def _credentials(settings: Settings) -> httpx.BasicAuth | None:
    """Return what the server asks for, as Prefect's own client takes it."""
    if settings.prefect_api_auth_string is None:
        return None
    user, _, password = settings.prefect_api_auth_string.get_secret_value().partition(":")
    return httpx.BasicAuth(user, password)


def _may_pass(error: BaseException) -> bool:
    """Tell a server that is away for a moment from one that refuses."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _AWAY
    return isinstance(error, httpx.TransportError)


def detail(answer: httpx.Response) -> str:
    """Return the reason in an error's body."""
    with contextlib.suppress(ValueError):
        body = answer.json()
        if isinstance(body, dict):
            detail = body.get("detail") or body.get("exception_message") or body
            return str(detail).removeprefix("Error creating flow run: ").rstrip(".")
    return answer.text[:500] or answer.reason_phrase
