"""The ledger of a backfill (`backfill_window`): which windows are done, and by which runs."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine, RowMapping
from sqlalchemy.exc import OperationalError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from seedtest.backfill import BackfillPlan, Window

# Hours of work hang on a note of a few bytes: a restart of the database is waited for.
PATIENCE_SECS = 120.0

OPEN = """
INSERT INTO backfill_window (backfill_id, first_day, last_day, flow)
SELECT :backfill_id, w.first_day, w.last_day, :flow
FROM unnest(CAST(:first_days AS date[]), CAST(:last_days AS date[])) AS w (first_day, last_day)
ON CONFLICT (backfill_id, first_day) DO NOTHING
"""
READ = """
SELECT first_day, last_day, status, flow_run_id, reason, updated_at
FROM backfill_window WHERE backfill_id = :backfill_id ORDER BY first_day
"""
RESTART = """
UPDATE backfill_window SET status = 'pending', reason = NULL, updated_at = clock_timestamp()
WHERE backfill_id = :backfill_id AND updated_at < :asked_at AND status <> 'pending'
"""
NOTE = """
UPDATE backfill_window SET status = :status, flow_run_id = :flow_run_id, reason = :reason,
    updated_at = clock_timestamp()
WHERE backfill_id = :backfill_id AND first_day = :first_day
RETURNING first_day, last_day, status, flow_run_id, reason, updated_at
"""


class WindowStatus(StrEnum):
    """How far a window is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Entry:
    """A row of the ledger; `flow_run_id` is the run that was started last."""

    window: Window
    status: WindowStatus
    flow_run_id: str | None
    reason: str | None
    updated_at: dt.datetime


class Ledger:
    """The windows of one backfill; each note is committed at once and may be repeated."""

    def __init__(self, engine: Engine, plan: BackfillPlan) -> None:
        self._engine = engine
        self._plan = plan

    def open(self) -> None:
        """Enter the windows that are not there yet."""
        windows = self._plan.windows
        self._execute(
            OPEN,
            flow=self._plan.flow,
            first_days=[window.first_day for window in windows],
            last_days=[window.last_day for window in windows],
        )

    def entries(self) -> list[Entry]:
        """Return how the windows stand, in their order; none before the ledger is open."""
        return [_entry(row) for row in self._execute(READ)]

    def restart(self, asked_at: dt.datetime) -> None:
        """Let all windows be done again, but for those that have been since that was asked for."""
        self._execute(RESTART, asked_at=asked_at)

    def note(
        self,
        window: Window,
        status: WindowStatus,
        *,
        flow_run_id: str | None = None,
        reason: str | None = None,
    ) -> Entry:
        """Write how a window stands, and return the row."""
        values = {"status": status.value, "flow_run_id": flow_run_id, "reason": reason}
        return _entry(self._execute(NOTE, first_day=window.first_day, **values)[0])

    def turn(self, entry: Entry) -> str:
        """Return the idempotency key of the next run of a pending window.

        The same until the run is noted, so that nobody starts it twice; another for every later turn,
        and in another database on the same Prefect server.
        """
        noted_at = entry.updated_at.astimezone(dt.UTC)
        return f"backfill-{self._plan.id}-{entry.window.first_day}-{noted_at:%Y%m%dT%H%M%S.%f}"

    def _execute(self, statement: str, **values: Any) -> Sequence[RowMapping]:  # noqa: ANN401 (bound values)
        patiently = Retrying(
            retry=retry_if_exception_type(OperationalError),
            stop=stop_after_delay(PATIENCE_SECS),
            wait=wait_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        return patiently(self._once, statement, {"backfill_id": self._plan.id, **values})

    def _once(self, statement: str, values: Mapping[str, Any]) -> Sequence[RowMapping]:
        with self._engine.begin() as connection:
            result = connection.execute(sa.text(statement), values)
            return result.mappings().all() if result.returns_rows else []


def _entry(row: RowMapping) -> Entry:
    return Entry(
        Window(row["first_day"], row["last_day"]),
        WindowStatus(row["status"]),
        row["flow_run_id"],
        row["reason"],
        row["updated_at"],
    )
