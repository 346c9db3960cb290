"""Every learner's report of a week: rendered, stored, recorded, and linked to."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefect.artifacts import create_link_artifact
from prefect.runtime import flow_run
from sqlalchemy.engine import Engine

from flows.artifacts import publish_summary, publish_table
from flows.report_bucket import report_bucket
from flows.report_chunks import Outcome, make_in_chunks
from flows.report_shards import make_in_shards, n_shards
from flows.settings import run_settings
from flows.stage import StageSummary, log_dropped, run_logger, snapshot, stage, stage_flow, timed
from reports.bucket import ReportBucket
from reports.making import Order
from reports.operator_pages import Troubles, publish_pages
from reports.operator_pages.bank_page import INDEX_KEY
from reports.operator_pages.cohort_page import index_key
from reports.queries import report_users
from reports.rendering import Format
from seedtest.db.reports import load_coverage
from seedtest.errors import DataError, ReportError, StageError, StorageError
from seedtest.report_keys import report_key, report_link
from seedtest.settings import ReportFormat, Settings
from seedtest.windows import monday_of

STAGE = "generate-weekly-report"
WEEK = dt.timedelta(days=7)
SLOWEST = 10
# A message names so many of what failed; the artifact lists everything.
NAMED_FAILURES = 3


@dataclass(frozen=True)
class Link:
    """Where a series of reports is to be seen."""

    series: str
    text: str
    key: str


@stage_flow(STAGE)
def generate_weekly_report(
    week: dt.date | None = None,
    user: str | None = None,
    format: ReportFormat | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> StageSummary:
    """Render every learner's report of a week, store it in the bucket, record it and link to it.

    Args:
        week: Any day of the week to report on. Empty: the week before the run was due.
        user: Only this learner's. Empty: everybody who has KPIs of the week.
        format: html, pdf or html,pdf. Empty: REPORT_FORMAT.
        force: Render and upload also what is up to date.
        dry_run: Render, say what would be stored, store and record nothing.
    """
    overrides: dict[str, Any] = {"report_format": format}
    settings = run_settings(**overrides)
    formats = tuple(Format(each) for each in settings.report_format.split(","))
    order = Order(resolve_week(week), (), formats, force=force, dry_run=dry_run)
    with timed(StageSummary(stage=STAGE, date=order.week_start, dry_run=dry_run)) as summary:
        outcome = _run(summary, settings, order, user, overrides)
    log_dropped(summary)
    publish_summary(summary, outcome.faults[:SLOWEST])
    publish_tables(STAGE, outcome)
    report_failures(STAGE, outcome)
    return summary


def resolve_week(week: dt.date | None) -> dt.date:
    """Return the Monday of the week asked for, or of the ISO week before the run was due."""
    due: dt.datetime = flow_run.scheduled_start_time or dt.datetime.now(dt.UTC)
    return monday_of(week) if week else monday_of(due.astimezone(dt.UTC).date()) - WEEK


def _run(
    summary: StageSummary, settings: Settings, order: Order, user: str | None, overrides: dict[str, Any]
) -> Outcome:
    with stage(STAGE, settings) as engine:
        with snapshot(engine) as connection:
            users = report_users(connection, order.week_start, lookback_days=settings.kpi_lookback_days)
        user_ids = users.user_ids if user is None else (user,)
        run_logger().info("Reports of the week from %s: %d learners", order.week_start, len(user_ids))
        shards = n_shards(len(user_ids), settings)
        if shards > 1:
            outcome = make_in_shards(order, shards)
        else:
            outcome = make_in_chunks(STAGE, order.of(user_ids), overrides, settings)
        count(summary, outcome, n_learners=len(user_ids))
        if user is None and users.n_without_kpis:
            summary.dropped["learners with answers but without KPIs of the week"] = users.n_without_kpis
        _count_coverage(summary, engine, order.week_start)
        if not order.dry_run:
            bucket = report_bucket(settings)
            if user is None:
                links = _publish_pages(engine, bucket, order.week_start, outcome, settings)
            else:
                links = _reports_of(user, order, outcome)
            _link(settings, bucket, links)
    return outcome


def count(summary: StageSummary, outcome: Outcome, *, n_learners: int) -> None:
    """Put into a summary what was made, what not, and where the time went."""
    made = outcome.made
    summary.counts |= {
        "learners": n_learners,
        "reports made": len(made.reports),
        "reports up to date": made.n_unchanged,
        "reports that lay in the bucket already": made.n_already_there,
        "learners failed": len(made.failures),
        "other parts failed": len(outcome.faults),
    }
    if made.without_kpis:
        summary.dropped["learners without KPIs of the week"] = len(made.without_kpis)
    sizes = [report.size_bytes for report in made.reports]
    if sizes:
        summary.facts["sizes"] = (
            f"{sum(sizes) / 1e6:,.1f} MB in all, {sum(sizes) / len(sizes) / 1e3:,.0f} kB on average, "
            f"{max(sizes) / 1e3:,.0f} kB at most"
        )
    spent = made.seconds
    summary.facts["processor time"] = (
        f"assembling {spent.assembling:.1f} s, rendering {spent.rendering:.1f} s, "
        f"uploading {spent.uploading:.1f} s, recording {spent.recording:.1f} s"
    )


def _count_coverage(summary: StageSummary, engine: Engine, week_start: dt.date) -> None:
    """Say what report_artifacts holds of the week now, as the operators' queries do."""
    with engine.connect() as connection:
        for coverage in load_coverage(connection, week_start):
            summary.counts[f"{coverage.format} reports of the week stored"] = coverage.n_reports


def publish_tables(name: str, outcome: Outcome) -> None:
    """Publish the slowest reports, and the learners who got none."""
    slowest = sorted(outcome.made.reports, key=lambda report: -report.seconds)[:SLOWEST]
    if slowest:
        rows = [
            {
                "user_id": report.user_id,
                "format": report.format.value,
                "seconds": report.seconds,
                "kB": report.size_bytes / 1e3,
            }
            for report in slowest
        ]
        publish_table(f"{name}-slowest", rows, "The reports that took longest")
    if outcome.made.failures:
        rows = [{"user_id": each.user_id, "reason": each.reason} for each in outcome.made.failures]
        publish_table(f"{name}-failures", rows, "Learners without a report, and why")


def _publish_pages(
    engine: Engine, bucket: ReportBucket, week_start: dt.date, outcome: Outcome, settings: Settings
) -> list[Link]:
    """Store the operators' pages; one that cannot be made is a fault of the run, and takes nothing else."""
    troubles = Troubles(outcome.made.failures, outcome.faults)
    try:
        pages = publish_pages(engine, bucket, week_start, troubles, settings)
    except (DataError, ReportError, StorageError) as error:
        outcome.faults.append(f"the operators' pages: {error}")
        return []
    series = {index_key(week_start): "index", INDEX_KEY: "item-bank"}
    return [Link(series[key], name, key) for name, key in pages if key in series]


def _reports_of(user: str, order: Order, outcome: Outcome) -> list[Link]:
    """Return links to one learner's reports, if there are any."""
    made = outcome.made
    if made.without_kpis or made.failures or outcome.faults:
        return []
    return [
        Link(each.value, f"{each.upper()} report of {user}", report_key(user, order.week_start, each))
        for each in order.formats
    ]


def _link(settings: Settings, bucket: ReportBucket, links: Sequence[Link]) -> None:
    """Leave a link to each series of reports; it opens for who may read the bucket."""
    for link in links:
        create_link_artifact(
            link=report_link(settings, bucket.name, link.key),
            link_text=link.text,
            key=f"weekly-report-{link.series}",
            description=link.text,
        )


def report_failures(name: str, outcome: Outcome) -> None:
    """Fail the run for what failed, once everything else is stored."""
    failures = outcome.made.failures
    if not failures and not outcome.faults:
        return
    named = [f"{each.user_id}: {each.reason}" for each in failures[:NAMED_FAILURES]]
    raise StageError(
        f"Reports of {len(failures)} learners could not be made, and {len(outcome.faults)} other parts of "
        f"the run failed ({'; '.join([*named, *outcome.faults[:NAMED_FAILURES]])}); everything else is "
        f"stored. The artifact {name}-failures lists the learners: mend the cause and run again, which makes "
        "only what is missing."
    )
