"""The calibration's engine behind HTTP (domain §6)."""

import string
from dataclasses import dataclass
from typing import Final, Self

import httpx
from pydantic import SecretStr

from seedtest.engine import EngineFit, FitRequest, OnStep
from seedtest.errors import ConfigurationError
from seedtest.irt_client.answer import read_answer
from seedtest.irt_client.body import gzipped, request_body
from seedtest.irt_client.fit import engine_fit
from seedtest.irt_client.retries import RetryPolicy
from seedtest.irt_client.transport import Endpoint
from seedtest.settings import Settings

CALIBRATE: Final = "/irt/calibrate"

SHORT_ANSWER_BYTES: Final = 1_000_000
BYTES_PER_ESTIMATE: Final = 4_000
"""No honest answer says more of an item or a learner; without a limit a broken service could fill memory."""

TOKEN_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + string.punctuation)


@dataclass(frozen=True)
class HttpEngine:
    """An IRT service that fits elsewhere.

    A fit is one POST of all answers. Failures that may pass are tried again, an answer is checked as a whole
    before any of it is returned: see `RetryPolicy.call`, `Endpoint.post` and `fit.engine_fit`.
    """

    endpoint: Endpoint
    retries: RetryPolicy

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the engine that R_IRT_* and MIRT_MAX_RETRIES, MIRT_RETRY_DELAY_SECS describe.

        R_IRT_TIMEOUT_SECS bounds each call as a whole, upload, fit and download.

        Raises
        ------
        ConfigurationError
            For an address or a token that no request can carry.
        """
        endpoint = Endpoint(
            url=address(settings.r_irt_base_url, CALIBRATE),
            token=sendable(settings.r_irt_internal_token),
            timeout_secs=settings.r_irt_timeout_secs,
        )
        return cls(endpoint, RetryPolicy(settings.mirt_max_retries, settings.mirt_retry_delay_secs))

    @property
    def name(self) -> str:
        """Name of the engine."""
        return "http"

    def fit(self, request: FitRequest, progress: OnStep | None = None) -> EngineFit:
        """Have the service fit the model; it tells no steps, so `progress` hears none.

        Raises
        ------
        CalibrationError
            The service finds that no model can be fitted to the answers (status 422).
        IrtServiceError
            The service cannot be reached, refuses, or gives no usable answer.
        """
        del progress
        longest = SHORT_ANSWER_BYTES + BYTES_PER_ESTIMATE * _n_ids(request)

        def attempt() -> EngineFit:
            answer = read_answer(self.endpoint.post(lambda: gzipped(request_body(request)), longest))
            return engine_fit(answer, request)

        return self.retries.call(attempt)


def _n_ids(request: FitRequest) -> int:
    return request.answers["item_id"].n_unique() + request.answers["user_id"].n_unique()


def address(base: str, path: str) -> httpx.URL:
    """Return the address of a resource of the service at `base`, if that is one."""
    try:
        url = httpx.URL(base.rstrip("/") + path)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise ConfigurationError(
            "R_IRT_BASE_URL is no address of an IRT service: it must be http(s)://host[:port][/path] without "
            "credentials; a token belongs in R_IRT_INTERNAL_TOKEN."
        )
    return url


def sendable(token: SecretStr | None) -> SecretStr | None:
    """Take a token only if a header can carry it, since libraries quote the header that they refuse."""
    if token is None:
        return None
    text = token.get_secret_value().strip()
    if not text or not TOKEN_CHARACTERS.issuperset(text):
        raise ConfigurationError(
            "R_IRT_INTERNAL_TOKEN cannot be sent: a token is printable ASCII without spaces. Set it anew."
        )
    return SecretStr(text)
