"""The weekly KPIs of every active learner, for the running week and the last completed one."""

import datetime as dt
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from flows.artifacts import progress, publish_summary, publish_table
from flows.batch_runs import STEPS, UNPACKING, How, Shards, Tally, in_parts, judge_output, unpack_new
from flows.batch_shards import in_shards
from flows.settings import run_settings
from flows.stage import (
    Days,
    StageSummary,
    Transactions,
    log_dropped,
    resolve_date,
    run_logger,
    stage,
    stage_flow,
    timed,
    transactions,
    unusable_items,
)
from seedtest.batches.kpis import STAGE, KpiBatch, KpiJob, KpiPart, plan_kpis, run_kpi_part
from seedtest.batches.plans import Plan
from seedtest.batches.spread import KpiSpread
from seedtest.db.attempts import last_days
from seedtest.db.buckets import Buckets
from seedtest.db.calibrations import load_fit
from seedtest.db.frames import Written
from seedtest.db.quality import kpi_output
from seedtest.db.results import sweep_kpis
from seedtest.errors import StageError
from seedtest.failures import UserFailure
from seedtest.settings import Settings

# A message names so many of the learners that failed; the artifact lists them all.
NAMED_FAILURES = 3
# The answers of so many days are judged: those before were, by the runs of their days.
JUDGED_DAYS = 7


@dataclass
class KpiOutcome:
    """How the KPIs that a run computed are spread, and the learners that failed."""

    spread: KpiSpread = field(default_factory=KpiSpread)
    failures: list[UserFailure] = field(default_factory=list)


@stage_flow(STAGE)
def compute_daily_kpis(
    date: dt.date | None = None,
    lookback_days: Days = None,
    full: bool = False,
    shards: Shards = None,
    dry_run: bool = False,
) -> StageSummary:
    """Compute improvement, efficiency, recovery, engagement, goal probability and churn risk.

    Args:
        date: Last UTC day that counts, whole. Empty: yesterday.
        lookback_days: Learners with an answer in these last days get KPIs. Empty: KPI_LOOKBACK_DAYS.
        full: Compute also what has not changed since the last run.
        shards: Runs that the learners are dealt out to. Empty: BATCH_SHARDS.
        dry_run: Load and compute, say what would be written, write nothing.
    """
    settings = run_settings(kpi_lookback_days=lookback_days, batch_shards=shards)
    last = resolve_date(date)
    outcome = KpiOutcome()
    with (
        timed(StageSummary(stage=STAGE, date=last, dry_run=dry_run)) as summary,
        stage(STAGE, settings) as engine,
    ):
        if settings.batch_shards > 1:
            in_shards(summary, settings, lookback_days=lookback_days, full=full)
        else:
            with transactions(engine, dry_run=dry_run) as given:
                outcome = learners_kpis(summary, settings, given, How(full=full, dry_run=dry_run))
            publish_kpis(summary, outcome)
    log_dropped(summary)
    publish_summary(summary)
    report_failures(outcome)
    return summary


def learners_kpis(summary: StageSummary, settings: Settings, given: Transactions, how: How) -> KpiOutcome:
    """Bring the KPIs of a shard's learners up to date; return what was computed."""
    tally, outcome = Tally(), KpiOutcome()
    with given.snapshot() as connection:
        job = KpiJob(summary.date, load_fit(connection), settings)
    judged = last_days(summary.date, JUDGED_DAYS)
    summary.facts["days judged and counted"] = f"{judged.first_day} to {judged.last_day}"
    with progress(summary.stage, STEPS) as shown:
        before = unpack_new(summary, settings, given, job.scope, judged, how.shard)
        summary.dropped |= unusable_items(job.fit)
        shown.reach(UNPACKING)
        context = job.context

        def plan(connection: Connection, buckets: Buckets, most_answers: int) -> Plan[KpiPart]:
            return plan_kpis(connection, job, buckets, context, most_answers=most_answers, full=how.full)

        def run(connection: Connection, part: KpiPart) -> KpiBatch:
            return run_kpi_part(connection, job, part, dry_run=how.dry_run)

        for done in in_parts(given, settings, job.scope, how.shard, shown, tally, plan, run):
            tally.add(done.n_answers, done.written)
            outcome.spread.add(done.rows)
            outcome.failures += done.failures
    n_failed = len(outcome.failures)
    summary.counts |= {
        "answers loaded": tally.n_answers,
        "learners processed": tally.n_learners - n_failed,
        "learners failed": n_failed,
        "KPI rows unchanged since the last run": tally.n_unchanged,
        "KPI rows computed": outcome.spread.n_rows,
    }
    run_logger().info("KPIs: %d users processed, %d failed", tally.n_learners - n_failed, n_failed)
    if not how.dry_run:
        _write_the_rest(summary, given, job, tally, outcome, how)
        with given.snapshot() as connection:
            values = kpi_output(connection, [week.week_start for week in job.weeks], how.shard)
        judge_output(summary, settings, values, before)
    return outcome


def _write_the_rest(
    summary: StageSummary, given: Transactions, job: KpiJob, tally: Tally, outcome: KpiOutcome, how: How
) -> None:
    """Empty the rows that no batch had to do with, and say what was written."""
    failed = [failure.user_id for failure in outcome.failures]
    with given.begin() as connection:
        swept = sweep_kpis(connection, STAGE, [week.week_start for week in job.weeks], failed, how.shard)
    tally.written += Written(changed=swept)
    summary.counts |= tally.written.described("KPI rows")
    run_logger().info("KPI upsert completed: %s", tally.written)


def publish_kpis(summary: StageSummary, outcome: KpiOutcome) -> None:
    """Publish a line a week and KPI: how many learners have it, and how it is distributed."""
    publish_table(
        summary.stage, outcome.spread.table(), f"KPIs computed by this run, by week, {summary.date}"
    )


def report_failures(outcome: KpiOutcome) -> None:
    """Fail the run for learners that failed, once all the others are written."""
    if not outcome.failures:
        return
    table = [{"user_id": failure.user_id, "reason": failure.reason} for failure in outcome.failures]
    publish_table(f"{STAGE}-failures", table, "Learners without KPIs, and why")
    named = "; ".join(f"{row['user_id']}: {row['reason']}" for row in table[:NAMED_FAILURES])
    raise StageError(
        f"KPIs of {len(table)} learners could not be computed ({named}); all others are written. "
        f"The artifact {STAGE}-failures lists them: mend their data and run again."
    )
