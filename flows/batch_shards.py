"""A stage's learners dealt out to several runs, each in a pod of its own; failed ones are run once more."""

from flows.shards import await_parts, completed, start_part, state_name
from flows.stage import StageSummary, run_logger
from seedtest.errors import StageError
from seedtest.settings import Settings

ROUNDS = 2
"""Times a shard is tried: once with all the others, and those that failed once more, alone."""


def in_shards(summary: StageSummary, settings: Settings, *, lookback_days: int | None, full: bool) -> None:
    """Run a stage's shards to their end, and note what became of them.

    Raises
    ------
    StageError
        Names the shards that did not complete, also when tried again.
    """
    deployment, shards = f"{summary.stage}-shard", settings.batch_shards
    common = {
        "date": summary.date.isoformat(),
        "shards": shards,
        "lookback_days": lookback_days,
        "full": full,
        "dry_run": summary.dry_run,
    }
    left, states = list(range(shards)), {}
    run_logger().info("Learners dealt out to %d runs of %s", shards, deployment)
    for turn in range(ROUNDS):
        runs = await_parts(
            [start_part(deployment, common | {"shard": shard}, f"{shard}/{turn}") for shard in left]
        )
        states = {shard: run for shard, run in zip(left, runs, strict=True) if not completed(run)}
        for shard, run in states.items():
            run_logger().warning("Shard %d, the run %s, ended %s", shard, run.name, state_name(run))
        left = list(states)
        if not left:
            break
    summary.counts["shards completed"] = shards - len(left)
    if left:
        named = ", ".join(f"{shard} ({run.name}: {state_name(run)})" for shard, run in states.items())
        raise StageError(
            f"Shards of {summary.stage} did not complete, tried {ROUNDS} times: {named}. What the others "
            "wrote stands. See their logs, mend the cause and run the stage again: it skips what is done."
        )
