"""Topic features of the last days, or of any range: the same code, so a backfill gives the same rows."""

import datetime as dt
from dataclasses import replace

import polars as pl
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
from seedtest.batches.features import STAGE, FeatureBatch, FeatureJob, plan_features, run_feature_part
from seedtest.batches.plans import Part, Plan
from seedtest.db.attempts import Scope
from seedtest.db.buckets import Buckets
from seedtest.db.calibrations import load_fit
from seedtest.db.frames import Written
from seedtest.db.packed_answers import question_topics
from seedtest.db.quality import feature_output
from seedtest.db.results import sweep_features
from seedtest.settings import Settings
from seedtest.windows import first_day


@stage_flow(STAGE)
def aggregate_features_daily(
    date: dt.date | None = None,
    lookback_days: Days = None,
    full: bool = False,
    shards: Shards = None,
    dry_run: bool = False,
) -> StageSummary:
    """Compute each learner's day in each topic: counts, times, hints, θ with its SE, improvement.

    Args:
        date: Last UTC day to compute, whole. Empty: yesterday.
        lookback_days: Days up to the date to compute; any range will do. Empty: AGG_LOOKBACK_DAYS.
        full: Compute also what has not changed since the last run.
        shards: Runs that the learners are dealt out to. Empty: BATCH_SHARDS.
        dry_run: Load and compute, say what would be written, write nothing.
    """
    settings = run_settings(agg_lookback_days=lookback_days, batch_shards=shards)
    last = resolve_date(date)
    with (
        timed(StageSummary(stage=STAGE, date=last, dry_run=dry_run)) as summary,
        stage(STAGE, settings) as engine,
    ):
        if settings.batch_shards > 1:
            in_shards(summary, settings, lookback_days=lookback_days, full=full)
        else:
            with transactions(engine, dry_run=dry_run) as given:
                days = learners_features(summary, settings, given, How(full=full, dry_run=dry_run))
            publish_features(summary, days)
    log_dropped(summary)
    publish_summary(summary)
    return summary


def learners_features(
    summary: StageSummary, settings: Settings, given: Transactions, how: How
) -> pl.DataFrame:
    """Bring the features of a shard's learners up to date; return the sums of what was computed by day."""
    last = summary.date
    first = first_day(last, settings.agg_lookback_days)
    summary.facts["days"] = f"{first} to {last}"
    tally, n_without_topic, computed = Tally(), 0, []
    with given.snapshot() as connection:
        fit, topics = load_fit(connection), question_topics(connection)
    job = FeatureJob(first, last, fit, topics, settings.mirt_repeats)
    with progress(summary.stage, STEPS) as shown:
        before = unpack_new(summary, settings, given, job.scope, Scope(first, last), how.shard)
        summary.dropped |= unusable_items(fit)
        shown.reach(UNPACKING)
        context = job.context

        def plan(connection: Connection, buckets: Buckets, most_answers: int) -> Plan[Part]:
            return plan_features(connection, job, buckets, context, most_answers=most_answers, full=how.full)

        def run(connection: Connection, part: Part) -> FeatureBatch:
            return run_feature_part(connection, job, part, dry_run=how.dry_run)

        for done in in_parts(given, settings, job.scope, how.shard, shown, tally, plan, run):
            tally.add(done.n_answers, done.written)
            n_without_topic += done.n_without_topic
            computed.append(_by_day(done.rows))
    if n_without_topic:
        summary.dropped["answers without a topic, among those read"] = n_without_topic
    days = pl.concat(computed).group_by("date").sum().sort("date")
    _count(summary, tally, days)
    if not how.dry_run:
        with given.begin() as connection:
            swept = sweep_features(connection, STAGE, first, last, how.shard)
        tally.written += replace(Written(), deleted=swept)
        summary.counts |= tally.written.described("feature rows")
        run_logger().info("Features upsert completed: %s", tally.written)
        with given.snapshot() as connection:
            values = feature_output(connection, Scope(first, last), how.shard)
        judge_output(summary, settings, values, before)
    return days


def _by_day(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a part's sums by day: all that is kept of its rows, of which a run may have millions."""
    known = pl.col("rt_median", "theta_estimate")
    return rows.group_by("date", maintain_order=True).agg(
        pl.len().alias("rows"),
        pl.col("attempts", "correct").sum(),
        known.sum(),
        known.count().name.prefix("n_"),
    )


def _count(summary: StageSummary, tally: Tally, days: pl.DataFrame) -> None:
    summary.counts |= {
        "answers loaded": tally.n_answers,
        "learners' days unchanged": tally.n_unchanged,
        "feature rows computed": int(days["rows"].sum()),
    }


def publish_features(summary: StageSummary, days: pl.DataFrame) -> None:
    """Publish a line a day, since a line a learner and topic would be too long to read."""
    table = days.select(
        "date",
        "rows",
        "attempts",
        accuracy=pl.col("correct") / pl.col("attempts"),
        mean_rt_median_ms=pl.col("rt_median") / pl.col("n_rt_median"),
        mean_theta=pl.col("theta_estimate") / pl.col("n_theta_estimate"),
        without_theta=pl.col("rows") - pl.col("n_theta_estimate"),
    ).fill_nan(None)
    publish_table(summary.stage, table, f"Features computed by this run, by day, {summary.facts['days']}")
