"""What every stage has in common: settings, its lock, its summary, and how it fails."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, ParamSpec, TypeVar

from prefect import Flow, flow
from prefect.context import FlowRunContext
from prefect.logging.loggers import LoggingAdapter, flow_run_logger
from prefect.runtime import flow_run
from prefect.settings import PREFECT_LOGGING_LEVEL
from pydantic import BaseModel, Field
from sqlalchemy.engine import Connection, Engine

from seedtest.backfill import MOST_DAYS
from seedtest.db.engine import create_engine, reachable
from seedtest.db.locks import only_while_held, stage_lock
from seedtest.db.outages import outages_told
from seedtest.db.revision import require_schema
from seedtest.errors import ConfigurationError, SeedtestError
from seedtest.scale import Fit
from seedtest.settings import Settings

RETRY_DELAY_SECS = 10
# Two minutes before the deadline of its Kubernetes Job (7200 s from before the pod starts): a run that hangs
# then fails here, by name. At the Job's own deadline it would get a SIGTERM, and be run again.
DEADLINE_SECS = 7080


# Prefect's form takes limits from the annotation, and the words from the flow's docstring ("Args:").
Days = Annotated[int | None, Field(ge=1, le=MOST_DAYS)]


P = ParamSpec("P")
R = TypeVar("R")


def stage_flow(name: str, *, retries: int = 1) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Return the decorator of a stage: what all of them have in common as flows."""
    return flow(
        name=name,
        retries=retries,
        retry_delay_seconds=RETRY_DELAY_SECS,
        timeout_seconds=DEADLINE_SECS,
        persist_result=True,
        result_serializer="json",
    )


class StageSummary(BaseModel):
    """What a stage did: kept as its result, shown as its artifact."""

    stage: str
    date: dt.date
    dry_run: bool = False
    counts: dict[str, int] = Field(default_factory=dict, description="What was read and written")
    dropped: dict[str, int] = Field(default_factory=dict, description="What was left out, by reason")
    facts: dict[str, str] = Field(default_factory=dict, description="Everything else worth reading")
    seconds: float = 0.0


@contextmanager
def stage(name: str, settings: Settings) -> Iterator[Engine]:
    """Give the database to one run of a stage at a time; the lock's holder is named by flow run."""
    engine = create_engine(
        settings.require_database_url(),
        application_name=f"{name} run {flow_run.name or 'without a server'}",
        statement_timeout_secs=settings.statement_timeout_secs,
        lock_timeout_secs=settings.lock_timeout_secs,
        # Opened as they are needed; beside those that work, one has the stage's lock and one the packs'.
        pool_size=settings.batch_connections + 2,
    )
    with reachable(engine), outages_told(engine, name):
        require_schema(engine)
        with (
            stage_lock(engine, name, wait_secs=settings.lock_wait_secs) as holder,
            only_while_held(engine, name, holder),
        ):
            yield engine


@contextmanager
def timed(summary: StageSummary) -> Iterator[StageSummary]:
    """Note how long the stage took, also when it fails."""
    start = time.monotonic()
    try:
        yield summary
    finally:
        summary.seconds = round(time.monotonic() - start, 3)


def resolve_date(date: dt.date | None) -> dt.date:
    """Return the date asked for, or the day before the run was due: the last day that was whole then.

    A run that starts late, or is retried after midnight, still does the night it was made for.
    """
    due: dt.datetime = flow_run.scheduled_start_time or dt.datetime.now(dt.UTC)
    return date or due.astimezone(dt.UTC).date() - dt.timedelta(days=1)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that sees one state of the database throughout, whatever others commit."""
    with engine.execution_options(isolation_level="REPEATABLE READ").begin() as connection:
        yield connection


class Transactions:
    """The transactions of a run: each committed at its end or, in a dry run, all one that is rolled back."""

    def __init__(self, engine: Engine, dry: Connection | None) -> None:
        self._engine = engine
        self._dry = dry

    def at_a_time(self, wanted: int) -> int:
        """Return how many of `wanted` transactions there may be at a time: one in a dry run."""
        return wanted if self._dry is None else 1

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Begin one whose statements each see what was committed before them."""
        if self._dry is not None:
            yield self._dry
            return
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Begin one that sees one state of the database throughout."""
        if self._dry is not None:
            yield self._dry
            return
        with snapshot(self._engine) as connection:
            yield connection


@contextmanager
def transactions(engine: Engine, *, dry_run: bool) -> Iterator[Transactions]:
    """Give the transactions of a run; a dry run sees what it has prepared, and leaves nothing."""
    if not dry_run:
        yield Transactions(engine, None)
        return
    with engine.connect() as connection:
        yield Transactions(engine, connection)
        connection.rollback()


def run_logger() -> LoggingAdapter:
    """Return the logger of the flow run itself; Prefect's own would write to the task around a subflow."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise ConfigurationError("A stage's log belongs to its flow run; call the flow, not its function.")
    return flow_run_logger(context.flow_run, context.flow)


def unusable_items(fit: Fit) -> dict[str, int]:
    """Return the items whose parameters cannot be used, as a reason and a count."""
    if not fit.unusable:
        return {}
    return {f"items whose parameters cannot be used, such as {fit.unusable[0]}": len(fit.unusable)}


def log_dropped(summary: StageSummary) -> None:
    """Log what was left out and why, a line a reason."""
    for reason, count in summary.dropped.items():
        run_logger().warning("Left out: %s: %d", reason, count)


class _WithoutTraceback(logging.Filter):
    """Reduce an error raised on purpose to its message, which is written for a person."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, SeedtestError):
            record.msg, record.args = f"{type(error).__name__}: {error}", ()
            record.exc_info = record.exc_text = None
        return True


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_WithoutTraceback())
# Prefect gives the core's loggers its handler, and leaves them at the root's level: warnings only.
for _name in ("seedtest", "reports"):
    logging.getLogger(_name).setLevel(PREFECT_LOGGING_LEVEL.value())
