"""Calling again: which failures, how often, after how long, and what the log says (domain §5)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from seedtest.errors import CalibrationError, IrtServiceError, SeedtestError
from seedtest.irt_client.transport import CallError

logger = logging.getLogger(__name__)

LONGEST_ASKED_WAIT_SECS: Final = 120.0
"""A service that asks for more is as good as down: the run fails and says so."""

UNPROCESSABLE: Final = 422
"""What the contract has the service say of data that no model can be fitted to."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RetryPolicy:
    """How often to call, and how long to wait after the first failure; each wait doubles the last."""

    attempts: int
    first_delay_secs: float
    longest_asked_wait_secs: float = LONGEST_ASKED_WAIT_SECS

    def delay_secs(self, failures: int, asked_secs: float | None = None) -> float:
        """Return the wait after so many failures: longer where the service asks for it, within reason."""
        own = self.first_delay_secs * 2.0 ** (failures - 1)
        return max(own, min(asked_secs or 0.0, self.longest_asked_wait_secs))

    def call(self, attempt: Callable[[], Answer]) -> Answer:
        """Return the answer of the first attempt that succeeds.

        Raises
        ------
        CalibrationError
            The service finds that no model can be fitted to the answers.
        IrtServiceError
            Every attempt failed, or one in a way that another would not mend; the message says which.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            retry=retry_if_exception(_is_transient),
            reraise=True,
        )

        def logged() -> Answer:
            try:
                return attempt()
            except CallError as error:
                number = retrying.statistics["attempt_number"]
                logger.warning("R IRT service call failed (attempt %d/%d): %s", number, self.attempts, error)
                raise

        try:
            return retrying(logged)
        except CallError as error:
            raise _final(error, retrying.statistics["attempt_number"]) from error

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_secs if isinstance(error, CallError) else None
        return self.delay_secs(state.attempt_number, asked)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, CallError) and error.is_transient


def _final(error: CallError, attempts: int) -> SeedtestError:
    """Log that no call will follow and return the error that says so."""
    message = f"R IRT service call failed after {attempts} attempts: {error}"
    logger.error("%s", message)
    return CalibrationError(message) if error.status == UNPROCESSABLE else IrtServiceError(message)
