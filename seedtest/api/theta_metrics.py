"""What the θ API counts beside its requests."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from seedtest.api.metrics import HttpMetrics
from seedtest.theta_queue import QueueState
from seedtest.theta_trigger import Outcome

BUCKETS_SECS: Final = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STATUSES: Final = ("ok", "noop", "error")


class Updating:
    """An update that is being counted; without a status when it ends, it has failed."""

    status = "error"


class ThetaMetrics(HttpMetrics):
    """Updates of θ, the queue of sessions, and the runs asked for."""

    def __init__(self) -> None:
        super().__init__(BUCKETS_SECS)
        self._updates = Counter(
            "theta_update", "Updates of a learner's θ by outcome", ["status"], registry=self.registry
        )
        self._update_seconds = Histogram(
            "theta_update_duration_seconds",
            "Seconds of an update, from the request's body to its outcome",
            buckets=BUCKETS_SECS,
            registry=self.registry,
        )
        self.engine_errors = Counter(
            "theta_engine_errors",
            "Updates for which the IRT service gave no usable answer",
            registry=self.registry,
        )
        self._triggers = Counter(
            "theta_trigger",
            "Questions to Prefect for the run that works off the queue, by outcome",
            ["outcome"],
            registry=self.registry,
        )
        for status in STATUSES:
            # A rate over a series that begins with the first failure would miss that failure.
            self._updates.labels(status)
        for outcome in Outcome:
            self._triggers.labels(outcome.value)
        self._pending = self._gauge("theta_queue_pending", "Sessions that wait for a θ")
        self._parked = self._gauge("theta_queue_parked", "Sessions given up after their last try")
        self._oldest = self._gauge(
            "theta_queue_oldest_pending_seconds", "How long the oldest waiting session has waited"
        )
        self.queue_unknown()

    @contextmanager
    def timing_update(self) -> Iterator[Updating]:
        """Time an update and count its outcome, whose status is set in between."""
        begun, updating = time.monotonic(), Updating()
        try:
            yield updating
        finally:
            self._updates.labels(updating.status).inc()
            self._update_seconds.observe(time.monotonic() - begun)

    def triggered(self, outcome: Outcome) -> None:
        """Count a question for a run."""
        self._triggers.labels(outcome.value).inc()

    def queue_is(self, state: QueueState) -> None:
        """Show what waits."""
        self._pending.set(state.pending)
        self._parked.set(state.parked)
        self._oldest.set(state.oldest_pending_secs or 0.0)

    def queue_unknown(self) -> None:
        """Show that nobody knows what waits: a number of before would hide an outage."""
        for gauge in (self._pending, self._parked, self._oldest):
            gauge.set(math.nan)

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(name, f"{what}; NaN while the database does not answer", registry=self.registry)
