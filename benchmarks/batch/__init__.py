"""Features and KPIs of many answers: how near the database's limit, how flat in memory, how incremental.

All stages run as flows in processes of their own with a Prefect server beside them, as their pods do.
"""

import datetime as dt
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from benchmarks.batch.cohort import Size, fill, one_more_day
from benchmarks.batch.rivals import SAMPLE_USERS, limit_secs, per_user_secs
from benchmarks.batch.runs import POD_MB, Run, at_once, flow_run, prefect_server
from benchmarks.report import Report, at_least, at_most
from seedtest.db import migrate
from seedtest.db.attempts import last_days
from seedtest.db.engine import create_engine
from seedtest.local.postgres import EmbeddedPostgres

FEATURES, KPIS = "aggregate-features-daily", "compute-daily-kpis"
SIZES = (1_000_000, 10_000_000)
ANSWERS_A_LEARNER = 100
N_WORKERS = 4
NOT_BEGUN = (
    "TRUNCATE answer_pack, input_digest, features_topic_daily, weekly_kpi",
    "VACUUM ANALYZE answer_pack",
)
ONE_PROCESSOR = {"POLARS_MAX_THREADS": "1", "NUMBA_NUM_THREADS": "1", "BATCH_CONNECTIONS": "1"}
CONTENTS = {
    "features_topic_daily": "computed_at",
    "weekly_kpi": "updated_at,created_at",
}


@dataclass(frozen=True)
class Measured:
    """What one size came to."""

    secs: float
    peaks_mb: dict[str, float]


def main(*, sizes: Sequence[int] = SIZES, runs: int) -> None:
    """Measure each size in a database of its own."""
    report, measured = Report(), {}
    for attempts in sizes:
        report.section(f"Features and KPIs of 56 days, {attempts:,} answers in them and as many before")
        with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as name:
            folder = Path(name)
            server = EmbeddedPostgres(folder / "home")
            server.start()
            try:
                _size_as_a_server(server)
                with prefect_server(folder) as api:
                    bench = _Bench(
                        report, server.url(), api, Size(attempts, attempts // ANSWERS_A_LEARNER), runs
                    )
                    measured[attempts] = bench.measure(folder)
            finally:
                server.remove()
    if len(measured) > 1:
        _growth(report, measured)
    report.close()


def _size_as_a_server(server: EmbeddedPostgres) -> None:
    """Give PostgreSQL the memory that a hosted one of the machine's size has; its own default is 128 MB."""
    buffers_mb = min(8192, int(psutil.virtual_memory().total / 4 / 2**20))
    engine = create_engine(server.url())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting in (f"shared_buffers = '{buffers_mb}MB'", "max_wal_size = '8GB'"):
            connection.execute(sa.text(f"ALTER SYSTEM SET {setting}"))
    engine.dispose()
    server.stop()
    server.start()


def _growth(report: Report, measured: dict[int, Measured]) -> None:
    few, many = measured[min(measured)], measured[max(measured)]
    report.section(f"From {min(measured):,} to {max(measured):,} answers")
    report.verdict("time", many.secs / few.secs, at_most(1.1 * max(measured) / min(measured), "×"))
    for stage, peak in many.peaks_mb.items():
        report.verdict(f"memory of {stage}", peak / few.peaks_mb[stage], at_most(1.3, "×"))


class _Bench:
    def __init__(self, report: Report, url: str, api: str, size: Size, runs: int) -> None:
        self.report, self.size, self.runs = report, size, runs
        self.environment = {"DATABASE_URL": url, "PREFECT_API_URL": api, "PREFECT_LOGGING_LEVEL": "WARNING"}
        migrate.upgrade(url)
        self.engine: Engine = create_engine(url)

    def measure(self, folder: Path) -> Measured:
        """Fill the database and measure everything on it."""
        fill(self.engine, self.size, self.report.doing)
        full = [self._full() for _ in range(self.runs)]
        secs = statistics.median(features.secs + kpis.secs for features, kpis in full)
        peaks = {
            stage: statistics.median(pair[at].peak_mb for pair in full)
            for at, stage in enumerate((FEATURES, KPIS))
        }
        self._against_the_limit(secs, folder)
        features_secs = statistics.median(features.secs for features, _ in full)
        self.report.row("  features", f"{features_secs:.1f} s", f"median of {self.runs}")
        self.report.row("  KPIs", f"{secs - features_secs:.1f} s", "after the features' run has unpacked")
        for stage, peak in peaks.items():
            self.report.verdict(f"peak memory of {stage}", peak, at_most(POD_MB[stage], "MB"), "with Prefect")
        self._one_day_more(secs)
        self._workers()
        # Last: it writes rows of its own.
        self._against_a_query_a_learner(secs)
        self.engine.dispose()
        return Measured(secs, peaks)

    def _run(self, stage: str, date: dt.date, **given: object) -> Run:
        return flow_run(stage, json.dumps({"date": date.isoformat(), **given}), self.environment)

    def _clear(self) -> None:
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in NOT_BEGUN:
                connection.execute(sa.text(statement))

    def _full(self) -> tuple[Run, Run]:
        """Everything anew: packs, features of the whole window, KPIs."""
        self._clear()
        self.report.doing("everything anew")
        features = self._run(FEATURES, self.size.last_day, lookback_days=self.size.window_days)
        return features, self._run(KPIS, self.size.last_day)

    def _against_the_limit(self, secs: float, folder: Path) -> None:
        self.report.doing("the limit")
        scope = last_days(self.size.last_day, self.size.window_days)
        parts = [limit_secs(self.engine, scope, folder) for _ in range(self.runs)]
        limit = statistics.median(sum(part.values()) for part in parts)
        rate = f"{self.size.attempts / secs:,.0f} answers/s"
        self.report.row("features and KPIs, from nothing", f"{secs:.1f} s", rate)
        named = ", ".join(f"{name} {statistics.median(p[name] for p in parts):.1f} s" for name in parts[0])
        self.report.row("the database's limit", f"{limit:.1f} s", named)
        self.report.verdict("÷ the limit", secs / limit, at_most(3, "×"))

    def _against_a_query_a_learner(self, secs: float) -> None:
        self.report.doing("a query a learner")
        last = self.size.last_day
        first = last_days(last, self.size.window_days).first_day
        rival, n_users = per_user_secs(self.engine, first, last)
        note = f"scaled from {SAMPLE_USERS} of {n_users:,} learners"
        self.report.row("a query a learner", f"{rival:,.0f} s", note)
        self.report.verdict("a query a learner ÷ ours", rival / secs, at_least(50, "×"))

    def _one_day_more(self, full_secs: float) -> None:
        self.report.doing("one day more")
        # The state after a night: features of the last days and KPIs are there.
        day = one_more_day(self.engine, self.size)
        runs = [self._run(FEATURES, day), self._run(KPIS, day)]
        secs = sum(run.secs for run in runs)
        self.report.row(
            "one day more", f"{secs:.1f} s", f"features {runs[0].secs:.1f} s, KPIs {runs[1].secs:.1f} s"
        )
        self.report.verdict("÷ everything anew", secs / full_secs, at_most(0.1, "×"))
        before = self._contents()
        for stage in (FEATURES, KPIS):
            self._run(stage, day, full=True)
        same = before == self._contents()
        self.report.judged("rows as when computed anew", str(same), "the same", holds=same)

    def _contents(self) -> list[str]:
        """Return a digest of each table's rows but for the times at which they were written."""
        with self.engine.connect() as connection:
            return [
                str(
                    connection.scalar(
                        sa.text(
                            "SELECT sum(hashtextextended((to_jsonb(t) - CAST(:stamps AS text[]))::text, 0))"
                            f" FROM {table} AS t"
                        ),
                        {"stamps": stamps.split(",")},
                    )
                )
                for table, stamps in CONTENTS.items()
            ]

    def _workers(self) -> None:
        """Measure four shards by one worker and by four at once, each with a single thread and connection.

        A worker that may use all processors would leave nothing to gain on one machine.
        """
        self.report.doing(f"{N_WORKERS} shards, one after the other and at once")
        day, days = self.size.last_day, self.size.window_days
        given = {"date": day.isoformat(), "lookback_days": days, "shards": N_WORKERS}
        shards = [(FEATURES, json.dumps(given | {"shard": shard})) for shard in range(N_WORKERS)]
        environment = self.environment | ONE_PROCESSOR
        self._clear()
        one = sum(flow_run(*shard, environment).secs for shard in shards)
        self._clear()
        many = max(run.secs for run in at_once(shards, environment))
        gain = one / many
        note = f"{one:.1f} s against {many:.1f} s, a thread and a connection each, {os.cpu_count()} cores"
        self.report.verdict(f"{N_WORKERS} workers ÷ 1", gain, at_least(2.5, "×"), note)
