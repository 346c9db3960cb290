"""A stage over a range of days: its windows in order, a run each, resumed where they were left."""

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.utilities.urls import url_for
from sqlalchemy.engine import Engine

from flows.artifacts import Progress, progress, publish_summary, publish_table
from flows.backfill_runs import WindowRuns, is_done, patiently
from flows.settings import run_settings
from flows.stage import DEADLINE_SECS, Days, StageSummary, run_logger, stage, stage_flow, timed
from seedtest.backfill import BackfillFlow, BackfillPlan, Course, plan_backfill
from seedtest.db.backfill import Entry, Ledger, WindowStatus
from seedtest.db.engine import create_engine, reachable
from seedtest.db.revision import require_schema
from seedtest.errors import ConfigurationError, StageError
from seedtest.settings import Settings

STAGE = "backfill"
# Before its own deadline a backfill ends by itself and leaves the window's run to the next one.
MARGIN_SECS = 120
# Prefect gives so many runs at a time.
PAGE = 200


@stage_flow(STAGE, retries=0)
def backfill(
    flow: BackfillFlow,
    from_date: dt.date,
    to_date: dt.date,
    window_days: Days = None,
    restart: bool = False,
    dry_run: bool = False,
) -> StageSummary:
    """Run a stage over past days, window by window; the same backfill again goes on where it was left.

    Args:
        flow: The stage to run.
        from_date: First UTC day.
        to_date: Last UTC day, whole: yesterday at the latest.
        window_days: Days of one run of the features. Empty: 28. KPIs go by ISO weeks.
        restart: Do all windows again, also those that are done.
        dry_run: Say which windows there are and which are done, run nothing.
    """
    plan = plan_backfill(
        flow, from_date, to_date, window_days=window_days, today=dt.datetime.now(dt.UTC).date()
    )
    settings = run_settings()
    with timed(StageSummary(stage=STAGE, date=to_date, dry_run=dry_run)) as summary:
        summary.facts = {"backfill": plan.id, "flow": plan.flow, "days": str(plan.days)}
        if dry_run:
            _show(summary, settings, plan)
        else:
            _run(summary, settings, plan, restart=restart)
    publish_summary(summary)
    return summary


def _show(summary: StageSummary, settings: Settings, plan: BackfillPlan) -> None:
    """Say what there is to do, beside a backfill that may be at work."""
    engine = create_engine(settings.require_database_url(), application_name=STAGE)
    with reachable(engine), get_client(sync_client=True) as client:
        require_schema(engine)
        entries = Ledger(engine, plan).entries()
        _publish(client, plan, entries)
    _count(summary, plan, entries, n_done_before=_n_done(entries))
    run_logger().info("%s: %d windows, %d of them done", plan, len(plan.windows), _n_done(entries))


def _run(summary: StageSummary, settings: Settings, plan: BackfillPlan, *, restart: bool) -> None:
    # One backfill of a stage at a time: two would only take turns.
    with stage(f"{STAGE} of {plan.flow}", settings) as engine:
        ledger = _opened(engine, plan, restart=restart)
        entries = ledger.entries()
        n_before = _n_done(entries)
        if n_before == len(entries):
            finished_at = max(entry.updated_at for entry in entries)
            outcome = f"finished on {finished_at:%Y-%m-%d %H:%M} UTC, so nothing was done"
            run_logger().info("%s: %s; restart=true does it all again", plan, outcome)
            summary.facts["outcome"] = outcome
        with get_client(sync_client=True) as client:
            runs = WindowRuns(client, ledger, plan, time.monotonic() + DEADLINE_SECS - MARGIN_SECS)
            try:
                _Backfill(plan, ledger, runs, n_before, time.monotonic()).work_off(entries)
            finally:
                _publish(client, plan, ledger.entries())
        _count(summary, plan, ledger.entries(), n_done_before=n_before)


def _opened(engine: Engine, plan: BackfillPlan, *, restart: bool) -> Ledger:
    ledger = Ledger(engine, plan)
    ledger.open()
    if restart:
        # The moment is the run's own: a run that is repeated after a crash keeps what it did before.
        context = FlowRunContext.get()
        if context is None or context.flow_run is None or context.flow_run.created is None:
            raise ConfigurationError("A restart is asked for by a flow run; call the flow, not its function.")
        ledger.restart(context.flow_run.created)
    return ledger


@dataclass(frozen=True)
class _Backfill:
    """One backfill at work; `begun_at` is by the monotonic clock."""

    plan: BackfillPlan
    ledger: Ledger
    runs: WindowRuns
    n_done_before: int
    begun_at: float

    def work_off(self, entries: Sequence[Entry]) -> None:
        """Have every window that is not done run, in order; the first that fails ends it."""
        with progress(STAGE, [str(window) for window in self.plan.windows]) as shown:
            n_done = self.n_done_before
            self._tell(shown, n_done)
            for number, entry in enumerate(entries, start=1):
                if entry.status is WindowStatus.DONE:
                    continue
                run_logger().info("Window %d of %d: %s", number, len(entries), entry.window)
                self._complete(entry, number, n_done)
                n_done += 1
                self._tell(shown, n_done)

    def _complete(self, entry: Entry, number: int, n_done: int) -> None:
        run = self.runs.ended(entry)
        which = f"Window {number} of {len(self.plan.windows)} ({entry.window})"
        again = f"{n_done} windows are done. Start the same backfill again: it goes on with this window"
        if run is None:
            raise StageError(f"{which} is not done yet, and the time of one run is up. {again}.")
        run_id = str(run.id)
        if is_done(run):
            self.ledger.note(entry.window, WindowStatus.DONE, flow_run_id=run_id)
            seconds = run.total_run_time.total_seconds()
            run_logger().info("Window %d is done: run %s, %.1f s", number, run.name, seconds)
            return
        ended = f"{run.state.name}: {run.state.message}" if run.state else "without a state"
        self.ledger.note(entry.window, WindowStatus.FAILED, flow_run_id=run_id, reason=ended)
        raise StageError(
            f"{which} failed: the run {run.name} ({run_id}) of {self.plan.flow} ended {ended}. Its log says "
            f"why; mend that. {again}."
        )

    def _tell(self, shown: Progress, n_done: int) -> None:
        n = len(self.plan.windows)
        course = Course(n, n_done, self.n_done_before, time.monotonic() - self.begun_at)
        text = course.described(dt.datetime.now(dt.UTC))
        shown.tell(n_done / n, text)
        run_logger().info("%s: %s", self.plan, text)


def _n_done(entries: Sequence[Entry]) -> int:
    return sum(entry.status is WindowStatus.DONE for entry in entries)


def _count(
    summary: StageSummary, plan: BackfillPlan, entries: Sequence[Entry], *, n_done_before: int
) -> None:
    n, n_done = len(plan.windows), _n_done(entries)
    summary.counts = {
        "windows": n,
        "windows done before": n_done_before,
        "windows done now": n_done - n_done_before,
        "windows left": n - n_done,
    }


def _publish(client: SyncPrefectClient, plan: BackfillPlan, entries: Sequence[Entry]) -> None:
    """Publish how each window stands, with its run."""
    by_window = {entry.window: entry for entry in entries}
    runs = _runs(client, [entry.flow_run_id for entry in entries if entry.flow_run_id])
    table = []
    for window in plan.windows:
        entry = by_window.get(window)
        run = runs.get(entry.flow_run_id) if entry and entry.flow_run_id else None
        table.append(
            {
                "window": str(window),
                "status": (entry.status if entry else WindowStatus.PENDING).value,
                "run": run.name if run else None,
                "seconds": run.total_run_time.total_seconds() if run else None,
                "link": url_for("flow-run", obj_id=run.id) if run else None,
                "reason": entry.reason if entry else None,
            }
        )
    publish_table(STAGE, table, f"{plan}, window by window")


def _runs(client: SyncPrefectClient, ids: Sequence[str]) -> dict[str, FlowRun]:
    """Return the runs that the server still knows, by their ids."""
    found: dict[str, FlowRun] = {}
    for start in range(0, len(ids), PAGE):
        wanted = FlowRunFilter.model_validate({"id": {"any_": ids[start : start + PAGE]}})
        runs = patiently(client.read_flow_runs, flow_run_filter=wanted, limit=PAGE)
        found |= {str(run.id): run for run in runs}
    return found
