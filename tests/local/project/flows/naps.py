"""Flows that do nothing, for the tests of the embedded stack."""

import datetime as dt
import time
from typing import Literal

from prefect import flow, get_run_logger


@flow(name="nap")
def nap(seconds: float = 1.0, mode: Literal["light", "deep"] = "light", date: dt.date | None = None) -> float:
    """Sleep, logging every half second."""
    logger = get_run_logger()
    logger.info("A %s nap of %s s on %s", mode, seconds, date)
    for half_second in range(int(seconds * 2)):
        time.sleep(0.5)
        logger.info("Still napping after %s half seconds", half_second + 1)
    return seconds


@flow(name="parent")
def parent(seconds: float = 1.0) -> None:
    """Sleep in a subflow."""
    get_run_logger().info("Before the nap")
    nap(seconds)
    get_run_logger().info("After the nap")


@flow(name="failing")
def failing(reason: str = "because") -> None:
    """Fail."""
    raise ValueError(reason)
