"""The weekly KPIs of every active learner, for the running week and the last completed one."""

import datetime as dt

import polars as pl

from flows.artifacts import progress, publish_summary, publish_table
from flows.settings import run_settings
from flows.stage import (
    Days,
    StageSummary,
    log_dropped,
    resolve_date,
    run_logger,
    snapshot,
    stage,
    stage_flow,
    timed,
    unusable_items,
)
from seedtest.db.attempts import count_left_out, last_days, load_attempts
from seedtest.db.calibrations import load_abilities, load_fit, load_goals
from seedtest.db.results import write_kpis
from seedtest.errors import StageError
from seedtest.kpis import KPIS, NEEDS_DAYS, KpiResult, weekly_kpis
from seedtest.settings import Settings
from seedtest.windows import kpi_weeks

STAGE = "compute-daily-kpis"
STEPS = ("Loading answers", "Computing KPIs", "Writing KPIs")
# A message names so many of the learners that failed; the artifact lists them all.
NAMED_FAILURES = 3


@stage_flow(STAGE)
def compute_daily_kpis(
    date: dt.date | None = None, lookback_days: Days = None, dry_run: bool = False
) -> StageSummary:
    """Compute improvement, efficiency, recovery, engagement, goal probability and churn risk.

    Args:
        date: Last UTC day that counts, whole. Empty: yesterday.
        lookback_days: Learners with an answer in these last days get KPIs. Empty: KPI_LOOKBACK_DAYS.
        dry_run: Load and compute, say what would be written, write nothing.
    """
    settings = run_settings(kpi_lookback_days=lookback_days)
    last = resolve_date(date)
    with timed(StageSummary(stage=STAGE, date=last, dry_run=dry_run)) as summary:
        result = _run(summary, settings, last)
    log_dropped(summary)
    publish_summary(summary)
    publish_table(STAGE, _by_week(result.rows), f"KPIs over the learners, by week, {last}")
    _report_failures(result)
    return summary


def _run(summary: StageSummary, settings: Settings, last: dt.date) -> KpiResult:
    with stage(STAGE, settings) as engine, progress(STAGE, STEPS) as shown, snapshot(engine) as connection:
        scope = last_days(last, max(NEEDS_DAYS, settings.kpi_lookback_days))
        attempts = load_attempts(connection, scope)
        fit = load_fit(connection)
        abilities = load_abilities(connection, before=last + dt.timedelta(days=1))
        summary.dropped = count_left_out(connection, scope) | unusable_items(fit)
        run_logger().info("Loaded %d answers and %d abilities", attempts.height, abilities.height)
        shown.reach("Loading answers")
        result = weekly_kpis(
            attempts,
            last,
            items=fit.items,
            prior=fit.prior,
            abilities=abilities,
            goals=load_goals(connection),
            default_target=settings.metrics_default_target,
            churn_horizon_days=settings.metrics_churn_horizon_days,
            lookback_days=settings.kpi_lookback_days,
            repeats=settings.mirt_repeats,
        )
        shown.reach("Computing KPIs")
        processed = result.rows["user_id"].n_unique()
        summary.counts = {
            "answers loaded": attempts.height,
            "learners processed": processed,
            "learners failed": len(result.failures),
            "KPI rows computed": result.rows.height,
        }
        run_logger().info("KPIs: %d users processed, %d failed", processed, len(result.failures))
        if not summary.dry_run:
            weeks = [week.week_start for week in kpi_weeks(last)]
            written = write_kpis(
                connection, result.rows, weeks, [failure.user_id for failure in result.failures]
            )
            summary.counts |= written.described("KPI rows")
            run_logger().info("KPI upsert completed: %s", written)
        shown.reach("Writing KPIs")
    return result


def _by_week(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a line a week and KPI: how many learners have it, and how it is distributed."""
    return (
        rows.unpivot(KPIS, index=["week_start", "as_of"], variable_name="kpi")
        .group_by("week_start", "as_of", "kpi")
        .agg(
            learners=pl.len(),
            known=pl.col("value").count(),
            mean=pl.col("value").mean(),
            p10=pl.col("value").quantile(0.1),
            median=pl.col("value").median(),
            p90=pl.col("value").quantile(0.9),
        )
        .sort("week_start", pl.col("kpi").cast(pl.Enum(KPIS)))
    )


def _report_failures(result: KpiResult) -> None:
    """Fail the run for learners that failed, once all the others are written."""
    if not result.failures:
        return
    table = [{"user_id": failure.user_id, "reason": failure.reason} for failure in result.failures]
    publish_table(f"{STAGE}-failures", table, "Learners without KPIs, and why")
    named = "; ".join(f"{row['user_id']}: {row['reason']}" for row in table[:NAMED_FAILURES])
    raise StageError(
        f"KPIs of {len(table)} learners could not be computed ({named}); all others are written. "
        f"The artifact {STAGE}-failures lists them: mend their data and run again."
    )
