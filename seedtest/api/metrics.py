"""What a service counts, as Prometheus reads it; a registry of its own, so that two can live in a process."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from seedtest.errors import RequestError

SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1800.0)


class HttpMetrics:
    """Requests by path, method and status, and how long they took."""

    def __init__(self, buckets_secs: Sequence[float] = SECONDS) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests", "Requests answered", ["method", "path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds from the first byte of a request to the last of its answer",
            ["path"],
            buckets=buckets_secs,
            registry=self.registry,
        )

    def observe(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answered request; `path` is a route, not what was asked for."""
        self.requests.labels(method, path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def exposition(self) -> Response:
        """Return all metrics as Prometheus text."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class IrtMetrics(HttpMetrics):
    """What the IRT service does beside."""

    def __init__(self) -> None:
        super().__init__()
        self.fits = Counter("irt_fits", "Fits by outcome", ["outcome"], registry=self.registry)
        self.fit_seconds = Histogram(
            "irt_fit_duration_seconds", "Seconds of a fit", buckets=SECONDS, registry=self.registry
        )
        self.observations = Counter(
            "irt_observations", "Answers received for calibrations", registry=self.registry
        )
        self.scores = Counter("irt_scores", "Abilities estimated", registry=self.registry)
        self.rejected = Counter(
            "irt_rejected_bodies", "Bodies refused, by status", ["status"], registry=self.registry
        )
        self.calibrations = Gauge(
            "irt_calibrations_in_progress",
            "Calibrations in upload, waiting or in work",
            registry=self.registry,
        )

    @contextmanager
    def counting_refusals(self) -> Iterator[None]:
        """Count a body that is refused in between."""
        try:
            yield
        except RequestError as error:
            self.rejected.labels(str(error.status)).inc()
            raise

    @contextmanager
    def timing_fit(self) -> Iterator[None]:
        """Time a fit and count how it ended."""
        begun, outcome = time.monotonic(), "failed"
        try:
            yield
            outcome = "ok"
        except RequestError:
            outcome = "refused"
            raise
        except ClientDisconnect:
            outcome = "abandoned"
            raise
        finally:
            self.fits.labels(outcome).inc()
            self.fit_seconds.observe(time.monotonic() - begun)
