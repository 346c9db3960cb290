"""The client of the IRT service: an engine for the calibration and a scorer, over HTTP."""

from seedtest.irt_client.engine import HttpEngine
from seedtest.irt_client.scoring import HttpScorer

__all__ = ["HttpEngine", "HttpScorer"]
