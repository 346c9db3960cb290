"""Topic features of one shard of the learners; `aggregate-features-daily` starts these runs."""

import datetime as dt

from flows.aggregate_features_daily import learners_features, publish_features
from flows.artifacts import publish_summary
from flows.batch_runs import How
from flows.settings import run_settings
from flows.stage import Days, StageSummary, log_dropped, stage, stage_flow, timed, transactions
from seedtest.batches.features import STAGE
from seedtest.db.buckets import Shard

DEPLOYMENT = f"{STAGE}-shard"


@stage_flow(DEPLOYMENT)
def aggregate_features_daily_shard(
    date: dt.date,
    shard: int,
    shards: int,
    lookback_days: Days = None,
    full: bool = False,
    dry_run: bool = False,
) -> StageSummary:
    """Bring the topic features of one shard of the learners up to date.

    Args:
        date: Last UTC day that counts, whole.
        shard: Which part of the learners, from 0 on.
        shards: How many parts there are.
        lookback_days: As of aggregate-features-daily.
        full: Compute also what has not changed since the last run.
        dry_run: Load and compute, say what would be written, write nothing.
    """
    settings = run_settings(agg_lookback_days=lookback_days)
    part = Shard(shard, shards)
    how = How(part, full=full, dry_run=dry_run)
    with (
        timed(StageSummary(stage=DEPLOYMENT, date=date, dry_run=dry_run)) as summary,
        # Shards run beside each other, a shard never beside itself.
        stage(f"{DEPLOYMENT} {part}", settings) as engine,
        transactions(engine, dry_run=dry_run) as given,
    ):
        days = learners_features(summary, settings, given, how)
    log_dropped(summary)
    publish_summary(summary)
    publish_features(summary, days)
    return summary
