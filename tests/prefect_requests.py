"""Requests to Prefect's API that no part of the project makes, for tests."""

from typing import Any

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

# A server on SQLite answers 503 while another write holds the file, for longer on a busy machine.
PATIENCE_SECS = 60


@retry(
    retry=retry_if_exception_type(httpx.HTTPStatusError),
    stop=stop_after_delay(PATIENCE_SECS),
    wait=wait_fixed(0.5),
    reraise=True,
)
def ask(method: str, url: str, body: Any = None) -> Any:
    """Send a request until the server takes it; return what it answers, None for nothing."""
    answer = httpx.request(method, url, json=body, timeout=30)
    answer.raise_for_status()
    return answer.json() if answer.content else None
