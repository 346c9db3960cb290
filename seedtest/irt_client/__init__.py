"""The client of the IRT service: an engine for the calibration, over HTTP."""

from seedtest.irt_client.engine import HttpEngine

__all__ = ["HttpEngine"]
