"""Topic features of the last days, or of any range: the same code, so a backfill gives the same rows."""

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
from seedtest.db.attempts import Scope, count_left_out, load_attempts
from seedtest.db.calibrations import load_fit
from seedtest.db.results import write_features
from seedtest.features import NEEDS_DAYS_BEFORE, FeatureResult, topic_features
from seedtest.settings import Settings
from seedtest.windows import first_day

STAGE = "aggregate-features-daily"
STEPS = ("Loading answers", "Computing features", "Writing features")


@stage_flow(STAGE)
def aggregate_features_daily(
    date: dt.date | None = None, lookback_days: Days = None, dry_run: bool = False
) -> StageSummary:
    """Compute each learner's day in each topic: counts, times, hints, θ with its SE, improvement.

    Args:
        date: Last UTC day to compute, whole. Empty: yesterday.
        lookback_days: Days up to the date to compute; any range will do. Empty: AGG_LOOKBACK_DAYS.
        dry_run: Load and compute, say what would be written, write nothing.
    """
    settings = run_settings(agg_lookback_days=lookback_days)
    last = resolve_date(date)
    first = first_day(last, settings.agg_lookback_days)
    with timed(StageSummary(stage=STAGE, date=last, dry_run=dry_run)) as summary:
        summary.facts["days"] = f"{first} to {last}"
        result = _run(summary, settings, first, last)
    log_dropped(summary)
    publish_summary(summary)
    publish_table(STAGE, _by_day(result.rows), f"Features by day, {first} to {last}")
    return summary


def _run(summary: StageSummary, settings: Settings, first: dt.date, last: dt.date) -> FeatureResult:
    with stage(STAGE, settings) as engine, progress(STAGE, STEPS) as shown, snapshot(engine) as connection:
        attempts = load_attempts(connection, Scope(first_day(first, NEEDS_DAYS_BEFORE + 1), last))
        fit = load_fit(connection)
        summary.dropped = count_left_out(connection, Scope(first, last)) | unusable_items(fit)
        run_logger().info("Loaded %d answers and %d calibrated items", attempts.height, len(fit.items))
        shown.reach("Loading answers")
        result = topic_features(
            attempts, first, last, items=fit.items, prior=fit.prior, repeats=settings.mirt_repeats
        )
        shown.reach("Computing features")
        if result.n_without_topic:
            summary.dropped["answers without a topic"] = result.n_without_topic
        summary.counts = {"answers loaded": attempts.height, "feature rows computed": result.rows.height}
        if not summary.dry_run:
            written = write_features(connection, result.rows, first, last)
            summary.counts |= written.described("feature rows")
            run_logger().info("Features upsert completed: %s", written)
        shown.reach("Writing features")
    return result


def _by_day(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a line a day, since a line a learner and topic would be too long to read."""
    return (
        rows.group_by("date")
        .agg(
            learners=pl.col("user_id").n_unique(),
            rows=pl.len(),
            attempts=pl.col("attempts").sum(),
            accuracy=pl.col("correct").sum() / pl.col("attempts").sum(),
            rt_median_ms=pl.col("rt_median").median(),
            mean_theta=pl.col("theta_estimate").mean(),
            without_theta=pl.col("theta_estimate").null_count(),
        )
        .sort("date")
    )
