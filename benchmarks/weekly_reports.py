"""Weekly reports end to end: assembled, drawn, rendered to HTML and PDF, uploaded and recorded.

The rival makes the same reports with a process a learner, as a document tool that is started for each
document does; both use all cores.
"""

import datetime as dt
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path

import boto3
import psutil
from botocore.config import Config
from sqlalchemy.engine import Engine

from benchmarks.report import Report, at_least, at_most
from benchmarks.theta_api.cohort import loaded
from reports.bucket import ReportBucket
from reports.making import Made, Order, Seconds, make_reports
from reports.rendering import Format
from seedtest.db.attempts import last_days, load_attempts
from seedtest.db.calibrations import load_abilities, load_fit, load_goals
from seedtest.db.engine import create_engine
from seedtest.db.results import write_kpis
from seedtest.kpis import NEEDS_DAYS, weekly_kpis
from seedtest.settings import Settings
from seedtest.windows import monday_of

ITEMS, DAYS, ANSWERS = 500, 63, 200
BUCKET, REGION, KEY, SECRET = "reports", "ap-northeast-2", "bench", "of-the-benchmark"
# Small enough for a hundred learners to keep every process busy.
CHUNK = 25
FEW = 100
RIVAL_LEARNERS = 12
LEARNERS_A_CORE = 2.0
POD_MB = 4 * 1024
FLAT = 1.15


def main(*, learners: int) -> None:
    """Measure with one process a core that this one may use."""
    n_cores = len(os.sched_getaffinity(0))
    report = Report()
    report.section(f"Weekly reports of {learners:,} learners, HTML and PDF, 8 weeks of data, {n_cores} cores")
    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder, _store(Path(folder)) as store:
        report.doing(f"{learners:,} learners of {ANSWERS} answers, {ITEMS} items")
        with loaded(Path(folder) / "home", learners, ITEMS, days=DAYS, answers=ANSWERS) as (url, _):
            user_ids, week_start = _with_kpis(url)
            order = Order(week_start, (), tuple(Format))
            make = partial(_make, url, store)
            _warm(n_cores, make, order.of(user_ids[:1]))
            report.doing("a process a learner")
            rival_secs = _rival(url, store, week_start, user_ids[:RIVAL_LEARNERS], n_cores)
            few = _in_chunks(make, order.of(user_ids[:FEW]), n_cores)
            report.doing("all learners")
            everybody = _in_chunks(make, order.of(user_ids), n_cores)
            _tell(report, everybody, few, rival_secs, n_cores)
    report.close()


class Watched:
    """What a run came to, its duration and the memory of all its processes together."""

    def __init__(self) -> None:
        self.made, self.secs, self.peak_mb = Made(), 0.0, 0.0


def _tell(report: Report, everybody: Watched, few: Watched, rival_secs: float, n_cores: int) -> None:
    learners = len({made.user_id for made in everybody.made.reports})
    rate = learners / everybody.secs
    report.verdict("made, uploaded and recorded", rate, at_least(LEARNERS_A_CORE * n_cores, "learners/s"))
    spent = everybody.made.seconds
    total = sum(getattr(spent, each.name) for each in fields(Seconds))
    for each in fields(Seconds):
        secs = getattr(spent, each.name)
        share = f"{100 * secs / total:.0f} % of the work"
        report.row(f"  {each.name}", f"{1000 * secs / learners:.0f} ms a learner", share)
    sizes = [made.size_bytes for made in everybody.made.reports]
    report.row("a report", f"{sum(sizes) / len(sizes) / 1e3:.0f} kB", "HTML and PDF alike, on average")
    report.row("a process a learner", f"{1 / rival_secs:.2f} learners/s", f"{RIVAL_LEARNERS} learners")
    report.verdict("÷ a process a learner", rate * rival_secs, at_least(10, "×"))
    report.verdict("peak memory, all processes", everybody.peak_mb, at_most(POD_MB, "MB"))
    report.verdict(
        f"÷ that of {FEW} learners", everybody.peak_mb / few.peak_mb, at_most(FLAT, "×"), "flat memory"
    )


def _with_kpis(url: str) -> tuple[tuple[str, ...], dt.date]:
    """Write KPIs as the nightly stage does; return the learners who have some of the last whole week."""
    engine = create_engine(url)
    last = monday_of(dt.datetime.now(dt.UTC).date()) - dt.timedelta(days=1)
    settings = Settings()
    with engine.begin() as connection:
        fit = load_fit(connection)
        result = weekly_kpis(
            load_attempts(connection, last_days(last, NEEDS_DAYS)),
            last,
            items=fit.items,
            prior=fit.prior,
            abilities=load_abilities(connection, before=last + dt.timedelta(days=1)),
            goals=load_goals(connection),
            default_target=settings.metrics_default_target,
            churn_horizon_days=settings.metrics_churn_horizon_days,
            lookback_days=settings.kpi_lookback_days,
            repeats=settings.mirt_repeats,
        )
        write_kpis(connection, result.rows)
    engine.dispose()
    week_start = monday_of(last)
    rows = result.rows
    return tuple(sorted(rows.filter(rows["week_start"] == week_start)["user_id"].unique())), week_start


def _make(url: str, store: str, order: Order) -> Made:
    engine: Engine = create_engine(url)
    try:
        return make_reports(engine, _bucket(store), order, Settings())
    finally:
        engine.dispose()


def _bucket(store: str) -> ReportBucket:
    client = boto3.client(
        "s3",
        endpoint_url=store,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}),
    )
    return ReportBucket(client, BUCKET, REGION)


def _pool(n_cores: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(n_cores, mp_context=multiprocessing.get_context("spawn"))


def _warm(n_cores: int, make: Callable[[Order], Made], order: Order) -> None:
    """Compile kernels and byte code, which a machine does once."""
    with _pool(n_cores) as pool:
        pool.submit(make, order).result()


def _in_chunks(make: Callable[[Order], Made], order: Order, n_cores: int) -> Watched:
    """Make all reports anew, the starts of the processes included."""
    ids: Sequence[str] = order.user_ids
    chunks = [
        Order(order.week_start, tuple(ids[at : at + CHUNK]), order.formats, force=True)
        for at in range(0, len(ids), CHUNK)
    ]
    watched = Watched()
    begun = time.monotonic()
    with _watching(watched), _pool(n_cores) as pool:
        for made in pool.map(make, chunks):
            watched.made.add(made)
    watched.secs = time.monotonic() - begun
    assert not watched.made.failures
    return watched


@contextmanager
def _watching(watched: Watched) -> Iterator[None]:
    """Note the most memory of this process and its children, but for the database and the store."""
    others = {child.pid for child in psutil.Process().children(recursive=True)}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            used = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    used += process.memory_info().rss if process.pid not in others else 0
                except psutil.Error:
                    continue
            watched.peak_mb = max(watched.peak_mb, used / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _rival(url: str, store: str, week_start: dt.date, user_ids: Sequence[str], n_cores: int) -> float:
    """Return the seconds a learner with a process for each, as many at a time as there are cores."""

    def one(user_id: str) -> None:
        arguments = [sys.executable, "-m", "benchmarks.weekly_reports", url, store, str(week_start), user_id]
        subprocess.run(arguments, check=True)

    begun = time.monotonic()
    with ThreadPoolExecutor(n_cores) as pool:
        list(pool.map(one, user_ids))
    return (time.monotonic() - begun) / len(user_ids)


@contextmanager
def _store(folder: Path) -> Iterator[str]:
    """Serve an S3 endpoint on files, which checks signatures."""
    objects = folder / "objects"
    (objects / BUCKET).mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    rclone = str(Path(sys.executable).with_name("rclone"))
    environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{KEY},{SECRET}"', "RCLONE_CONFIG": "/notfound"}
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "-q", str(objects)]
    server = subprocess.Popen(command, env=environment)
    try:
        for _ in range(200):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


if __name__ == "__main__":
    address, endpoint, week, learner = sys.argv[1:]
    wanted = Order(dt.date.fromisoformat(week), (learner,), tuple(Format), force=True)
    _make(address, endpoint, wanted)
