"""What authentication counts."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter


class Refresh(StrEnum):
    """How a fetch of the key set ended."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    INVALID = "invalid"


class AuthMetrics:
    """Counters on the registry of the application they belong to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refreshes = Counter(
            "theta_jwks_refreshes", "Fetches of the key set by outcome", ["outcome"], registry=registry
        )
        for outcome in Refresh:
            # A rate over a series that begins with the first failure would miss that failure.
            self._refreshes.labels(outcome.value)

    def refreshed(self, outcome: Refresh) -> None:
        """Count a fetch of the key set."""
        self._refreshes.labels(outcome.value).inc()
