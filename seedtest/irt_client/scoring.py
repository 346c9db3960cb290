"""θ from the IRT service (domain §6), for a caller that waits: short calls, few and short pauses."""

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from seedtest.errors import IrtServiceError
from seedtest.irt import AbilityEstimate, ItemParameters, Prior
from seedtest.irt_client.answer import read_score
from seedtest.irt_client.body import gzipped
from seedtest.irt_client.engine import address, sendable
from seedtest.irt_client.retries import RetryPolicy
from seedtest.irt_client.transport import CallError, Endpoint
from seedtest.settings import Settings

SCORE: Final = "/irt/score"

LONGEST_CALL_SECS: Final = 2.0
LONGEST_FIRST_DELAY_SECS: Final = 0.2
"""A learner waits: three calls and two pauses end within seven seconds, however long a fit may take."""

LONGEST_ANSWER_BYTES: Final = 16_384
CALLS_AT_A_TIME: Final = 8

Sheet = tuple[Sequence[str], Sequence[bool]]
"""A learner's answers: item ids and verdicts, each (n_answers,)."""


@dataclass(frozen=True)
class HttpScorer:
    """Items and prior made ready for many calls of a service, as `seedtest.irt.Scorer` is without one."""

    items: ItemParameters
    prior: Prior
    endpoint: Endpoint
    retries: RetryPolicy

    @classmethod
    def from_settings(cls, settings: Settings, items: ItemParameters, prior: Prior) -> Self:
        """Return the scorer that R_IRT_* and MIRT_MAX_RETRIES, MIRT_RETRY_DELAY_SECS describe, times bounded.

        Raises
        ------
        ConfigurationError
            For an address or a token that no request can carry.
        """
        endpoint = Endpoint(
            url=address(settings.r_irt_base_url, SCORE),
            token=sendable(settings.r_irt_internal_token),
            timeout_secs=min(settings.r_irt_timeout_secs, LONGEST_CALL_SECS),
        )
        delay_secs = min(settings.mirt_retry_delay_secs, LONGEST_FIRST_DELAY_SECS)
        return cls(items, prior, endpoint, RetryPolicy(settings.mirt_max_retries, delay_secs, delay_secs))

    def one(self, item_ids: Sequence[str], correct: Sequence[bool]) -> AbilityEstimate:
        """Ability of one learner from answers to items by id, each (n_answers,), one of them calibrated.

        Raises
        ------
        IrtServiceError
            The service cannot be reached, refuses, or gives no usable answer.
        CalibrationError
            The service finds that these answers give no θ (status 422).
        """

        def attempt() -> AbilityEstimate:
            packed = gzipped(self._body(item_ids, correct))
            answer = read_score(self.endpoint.post(lambda: packed, LONGEST_ANSWER_BYTES))
            return AbilityEstimate(answer.theta, answer.standard_error, answer.n_items)

        return self.retries.call(attempt)

    def many(self, sheets: Sequence[Sheet]) -> list[AbilityEstimate | None]:
        """Abilities of learners, in their order; None where the service gave no answer.

        Once every attempt for one learner has failed, the service counts as down and is not called for the
        others: a caller with hundreds of learners waits no longer than one with a single one.
        """
        is_down = threading.Event()

        def score(sheet: Sheet) -> AbilityEstimate | None:
            if is_down.is_set():
                return None
            try:
                return self.one(*sheet)
            except IrtServiceError as error:
                # `retries` has logged it. A refusal may be about this learner's body alone.
                cause = error.__cause__
                if isinstance(cause, CallError) and cause.is_transient:
                    is_down.set()
                return None

        with ThreadPoolExecutor(CALLS_AT_A_TIME) as pool:
            return list(pool.map(score, sheets))

    def _body(self, item_ids: Sequence[str], correct: Sequence[bool]) -> Iterator[bytes]:
        answers = zip(item_ids, correct, strict=True)
        known = {item_id: self._params[item_id] for item_id in item_ids if item_id in self._params}
        body = {
            "item_params": known,
            "responses": [{"item_id": item_id, "is_correct": verdict} for item_id, verdict in answers],
            "prior": {"mean": self.prior.mean, "sd": self.prior.sd},
        }
        yield json.dumps(body, ensure_ascii=False, allow_nan=False).encode()

    @cached_property
    def _params(self) -> dict[str, dict[str, float]]:
        items = self.items
        columns = zip(items.item_ids, items.a.tolist(), items.b.tolist(), items.c.tolist(), strict=True)
        return {item_id: {"a": a, "b": b, "c": c} for item_id, a, b, c in columns}
