"""What has served and only takes up room: old θ history, packed answers, digests, settled requests."""

import datetime as dt

from flows.artifacts import publish_summary
from flows.settings import run_settings
from flows.stage import StageSummary, run_logger, stage, stage_flow, timed
from seedtest.db.pruning import count_prunable, prunables, prune
from seedtest.settings import Settings

STAGE = "housekeeping"


@stage_flow(STAGE)
def housekeeping(dry_run: bool = False) -> StageSummary:
    """Delete what is older than its retention, never a learner's newest θ nor a session that is parked.

    Args:
        dry_run: Count what would be deleted, delete nothing.
    """
    settings = run_settings()
    today = dt.datetime.now(dt.UTC).date()
    with timed(StageSummary(stage=STAGE, date=today, dry_run=dry_run)) as summary:
        _run(summary, settings, today)
    publish_summary(summary)
    return summary


def _run(summary: StageSummary, settings: Settings, today: dt.date) -> None:
    with stage(STAGE, settings) as engine:
        for what in prunables(settings, today):
            summary.facts[f"{what.table} kept from"] = f"{what.before:%Y-%m-%d}"
            if summary.dry_run:
                with engine.connect() as connection:
                    summary.counts[f"{what.table} rows to delete"] = count_prunable(connection, what)
                continue
            pruned = prune(engine, what)
            summary.counts[f"{what.table} rows deleted"] = pruned.rows
            if pruned.postponed:
                summary.facts[f"{what.table} postponed"] = pruned.postponed
    run_logger().info("Housekeeping: %s", ", ".join(f"{n} {what}" for what, n in summary.counts.items()))
