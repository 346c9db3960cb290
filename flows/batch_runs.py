"""What the flows that work in batches of learners have in common: plan, packs, progress, shards."""

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from typing import Annotated, TypeVar

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.engine import Connection

from flows.artifacts import Progress
from flows.quality import publish_findings, require_no_errors
from flows.stage import StageSummary, Transactions, run_logger
from seedtest.batches.plans import Plan
from seedtest.db.answer_packs import Synchronised, bring_in_step, hold_packs
from seedtest.db.attempts import Scope
from seedtest.db.buckets import BUCKETS, EVERYBODY, Buckets, Shard
from seedtest.db.frames import Written
from seedtest.db.packed_answers import Range, plan_ranges
from seedtest.db.quality import answer_evidence
from seedtest.memory import answers_at_a_time, batches_at_a_time
from seedtest.quality import Finding, ValueCounts, check_answers, check_output, verdict
from seedtest.settings import Settings

UNPACKING, COMPUTING = "Unpacking new results", "Computing and writing"
STEPS = (UNPACKING, COMPUTING)

PATIENTLY = sa.text("SELECT set_config('lock_timeout', :patience, true)")
PATIENCE = 10
"""Times LOCK_TIMEOUT_SECS that a run waits for another to unpack."""
MOST_SHARDS = 64
Shards = Annotated[int | None, Field(ge=1, le=MOST_SHARDS)]

P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True)
class How:
    """How a stage's run works: for whom, whether over again, whether for show."""

    shard: Shard = EVERYBODY
    full: bool = False
    dry_run: bool = False


@dataclass
class Tally:
    """What the parts of a run came to."""

    n_learners: int = 0
    n_unchanged: int = 0
    n_answers: int = 0
    written: Written = field(default_factory=Written)

    def add_plan(self, plan: Plan[P]) -> None:
        """Add a range of learners."""
        self.n_learners += plan.n_learners
        self.n_unchanged += plan.n_unchanged

    def add(self, n_answers: int, written: Written) -> None:
        """Add a part."""
        self.n_answers += n_answers
        self.written += written


def unpack_new(
    summary: StageSummary, settings: Settings, given: Transactions, scope: Scope, judged: Scope, shard: Shard
) -> tuple[Finding, ...]:
    """Bring the packs of the scope in step, in a transaction of its own, and judge the answers.

    What is left out is counted, and the checks are made, on the days of `judged`; their findings are
    returned.

    Raises
    ------
    DataQualityError
        When writing would publish nonsense or delete good rows.
    """
    done = unpack(given, settings, scope, judged, shard)
    run_logger().info("Results unpacked: %d, dropped: %d", done.packed, done.dropped)
    summary.counts |= {"results unpacked": done.packed, "packs dropped": done.dropped}
    summary.dropped |= done.left_out
    with given.snapshot() as connection:
        findings = check_answers(answer_evidence(connection, judged, shard, left_out=done.left_out))
    publish_findings(summary.stage, findings)
    require_no_errors(findings, settings.quality_errors)
    return findings


def judge_output(
    summary: StageSummary, settings: Settings, values: tuple[ValueCounts, ...], before: tuple[Finding, ...]
) -> None:
    """Judge what a run has written, beside what was found before it.

    Raises
    ------
    DataQualityError
        When the tables now hold what cannot be.
    """
    after = check_output(values)
    publish_findings(summary.stage, after, earlier=before)
    summary.facts["data quality"] = verdict((*before, *after))
    require_no_errors(after, settings.quality_errors)


def unpack(
    given: Transactions, settings: Settings, scope: Scope, judged: Scope, shard: Shard = EVERYBODY
) -> Synchronised:
    """Bring the packs of the scope in step, over several connections; count what is left out of `judged`."""
    days = scope.cut(given.at_a_time(settings.batch_connections))

    def of_days(n: int, part: Scope) -> Synchronised:
        first = BUCKETS * n // len(days)
        with given.begin() as connection:
            return bring_in_step(connection, part, shard, counted=judged, first_bucket=first)

    with given.begin() as holder, ThreadPoolExecutor(len(days)) as pool:
        # Another stage may be unpacking everything for the first time, which takes minutes.
        holder.execute(PATIENTLY, {"patience": f"{PATIENCE * settings.lock_timeout_secs:g}s"})
        hold_packs(holder, shard)
        return reduce(operator.add, pool.map(of_days, range(len(days)), days))


def in_parts(
    given: Transactions,
    settings: Settings,
    scope: Scope,
    shard: Shard,
    shown: Progress,
    tally: Tally,
    plan: Callable[[Connection, Buckets, int], Plan[P]],
    run: Callable[[Connection, P], T],
) -> Iterator[T]:
    """Plan range after range of learners, run each part in its own transaction, and give what came of it.

    While one part is computed another is read or written, or the next range is planned; results come in
    order. An error of one ends the run once those that have begun are done; what is committed stands.
    """
    most = answers_at_a_time(settings)
    with given.snapshot() as connection:
        ranges = plan_ranges(connection, scope, shard)
    n_answers = sum(r.n_answers for r in ranges)
    run_logger().info("%d answers in scope, computed at most %d at a time", n_answers, most)

    def planned(learners: Range) -> Plan[P]:
        with given.snapshot() as connection:
            return plan(connection, learners.buckets, most)

    def computed(begun: tuple[P, float]) -> tuple[T, float]:
        part, share = begun
        with given.snapshot() as connection:
            return run(connection, part), share

    def parts(plans: Iterable[Plan[P]]) -> Iterator[tuple[P, float]]:
        done = 0
        for learners, current in zip(ranges, plans, strict=True):
            tally.add_plan(current)
            for n, part in enumerate(current.parts, 1):
                yield part, (done + n / len(current.parts) * learners.n_answers) / max(n_answers, 1)
            done += learners.n_answers

    at_a_time = given.at_a_time(batches_at_a_time(settings))
    with ThreadPoolExecutor(at_a_time) as pool:
        try:
            for result, share in _ahead(pool, at_a_time, computed, parts(_ahead(pool, 1, planned, ranges))):
                yield result
                shown.reach(COMPUTING, share)
        finally:
            pool.shutdown(cancel_futures=True)


def _ahead(pool: ThreadPoolExecutor, n: int, work: Callable[[P], T], upcoming: Iterable[P]) -> Iterator[T]:
    """Give what `work` makes of each, in order; `n` more have begun, or wait for a thread, meanwhile."""
    begun: deque[Future[T]] = deque()
    for each in upcoming:
        begun.append(pool.submit(work, each))
        if len(begun) > n:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
