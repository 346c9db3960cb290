"""One part of a large week's reports; `generate-weekly-report` starts these runs."""

import datetime as dt
from typing import Any

from flows.artifacts import publish_summary
from flows.generate_weekly_report import count, publish_tables, report_failures
from flows.report_chunks import make_in_chunks
from flows.report_shards import DEPLOYMENT, of_shard
from flows.settings import run_settings
from flows.stage import StageSummary, log_dropped, snapshot, stage, stage_flow, timed
from reports.making import Order
from reports.queries import report_users
from reports.rendering import Format
from seedtest.settings import ReportFormat


@stage_flow(DEPLOYMENT)
def generate_weekly_report_shard(
    week: dt.date,
    shard: int,
    shards: int,
    format: ReportFormat | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> StageSummary:
    """Make the reports of one part of a week's learners.

    Args:
        week: Monday of the week to report on.
        shard: Which part, from 0 on.
        shards: How many parts there are.
        format: html, pdf or html,pdf. Empty: REPORT_FORMAT.
        force: Render and upload also what is up to date.
        dry_run: Render, say what would be stored, store and record nothing.
    """
    overrides: dict[str, Any] = {"report_format": format}
    settings = run_settings(**overrides)
    formats = tuple(Format(each) for each in settings.report_format.split(","))
    with timed(StageSummary(stage=DEPLOYMENT, date=week, dry_run=dry_run)) as summary:
        # Parts run beside each other, a part never beside itself.
        with stage(f"{DEPLOYMENT} {shard} of {shards}", settings) as engine, snapshot(engine) as connection:
            users = report_users(connection, week, lookback_days=settings.kpi_lookback_days)
            user_ids = of_shard(users.user_ids, shard, shards)
            order = Order(week, user_ids, formats, force=force, dry_run=dry_run)
            outcome = make_in_chunks(DEPLOYMENT, order, overrides, settings)
        count(summary, outcome, n_learners=len(user_ids))
    log_dropped(summary)
    publish_summary(summary)
    publish_tables(DEPLOYMENT, outcome)
    report_failures(DEPLOYMENT, outcome)
    return summary
