"""The session hook: what an in-process caller calls when a learner's session is complete.

It reports the session to the θ API's webhook, signed with WEBHOOK_SECRET, and is off unless
ENABLE_IRT_ONLINE_UPDATE=true. Whatever fails, a session's completion goes on: nothing is raised, and nothing
takes longer than THETA_HOOK_TIMEOUT_SECS.
"""

import datetime as dt
import json
import logging
import threading
import time
from typing import Final

import httpx

from seedtest.api.auth.signatures import signed_headers, webhook_secrets
from seedtest.errors import ConfigurationError, SeedtestError
from seedtest.settings import Settings, load_settings

logger = logging.getLogger(__name__)

WEBHOOK_PATH: Final = "/api/seedtest/webhooks/session-completed"
# An API that hangs holds a thread a session; beyond so many at once sessions are not reported at all.
MOST_AT_ONCE: Final = 16

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


def on_session_complete(
    user_id: str,
    session_id: str,
    *,
    completed_at: dt.datetime | None = None,
    settings: Settings | None = None,
) -> bool:
    """Ask for a new θ of a learner whose session is complete.

    Parameters
    ----------
    user_id, session_id
        The learner and the session, as exam_results has them.
    completed_at
        When the session was completed; None: now.
    settings
        None: the environment's.

    Returns
    -------
    bool
        Whether the API has promised the θ. False: the hook is off, or the log has a warning with the
        reason; reporting the session again, at any time, does no harm.
    """
    begun = time.monotonic()
    try:
        settings = settings or load_settings()
    except ConfigurationError as error:
        logger.warning("No θ was asked for after a session: %s", error)
        return False
    if not settings.enable_irt_online_update:
        return False
    if not _places.acquire(blocking=False):
        logger.warning("No θ was asked for after a session: %d reports hang already", MOST_AT_ONCE)
        return False
    report = _Report(user_id, session_id, completed_at or dt.datetime.now(dt.UTC), settings)
    report.start()
    # Looking up a name, or an answer that comes byte by byte, knows no timeout: the caller's patience does.
    report.join(max(0.0, settings.theta_hook_timeout_secs - (time.monotonic() - begun)))
    if report.is_alive():
        logger.warning(
            "No θ was promised after a session within %g s by %s",
            settings.theta_hook_timeout_secs,
            settings.theta_api_url,
        )
        return False
    return report.accepted


class _Report(threading.Thread):
    """One report, given up by who waits for it and not by itself."""

    def __init__(self, user_id: str, session_id: str, completed_at: dt.datetime, settings: Settings) -> None:
        super().__init__(name="session-hook", daemon=True)
        self.accepted = False
        self._settings = settings
        self._completed = {
            "session_id": session_id,
            "user_id": user_id,
            "completed_at": completed_at.isoformat(),
        }

    def run(self) -> None:
        try:
            answer = self._send()
            self.accepted = answer.status_code == httpx.codes.ACCEPTED
            if not self.accepted:
                logger.warning("No θ was promised after a session: the API answers %d", answer.status_code)
        except (httpx.HTTPError, httpx.InvalidURL, SeedtestError) as error:
            logger.warning("No θ was asked for after a session: %s: %s", type(error).__name__, error)
        finally:
            _places.release()

    def _send(self) -> httpx.Response:
        secrets = webhook_secrets(self._settings.webhook_secret)
        if not secrets:
            raise ConfigurationError("WEBHOOK_SECRET is not set, and the webhook takes nothing unsigned.")
        body = json.dumps(self._completed).encode()
        signed = signed_headers(secrets[0], int(time.time()), body)
        return httpx.post(
            self._settings.theta_api_url.rstrip("/") + WEBHOOK_PATH,
            content=body,
            headers={"Content-Type": "application/json", **signed},
            timeout=self._settings.theta_hook_timeout_secs,
        )
