"""Dropping rows that have served: found in one pass, deleted in batches, each a transaction of its own."""

import datetime as dt
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db.locks import stage_lock
from seedtest.db.schema import AnswerPack, BackfillWindow, Base, InputDigest, MirtAbility, ThetaRequest
from seedtest.errors import LockTimeoutError
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

BATCH_ROWS = 10_000
# As many rows are looked for at a time, so that the list of them stays small on the first night too.
MOST_LISTED_ROWS = 1_000_000
BACKFILL_RETENTION_DAYS = 400
# A stage that waits for its lock looks every half a second at least: it has its turn between two batches.
PAUSE_SECS = 0.6
# They bring packs up to date and read them afterwards, in transactions of their own.
READERS_OF_PACKS = ("aggregate-features-daily", "compute-daily-kpis")

# The newest row of a learner from before the horizon stays, and all that are as new: the view of the latest
# and P of every week that ends after the horizon are what they were.
SUPERSEDED = """old.as_of < :before AND EXISTS (
    SELECT FROM mirt_ability AS newer
    WHERE newer.user_id = old.user_id AND newer.as_of > old.as_of AND newer.as_of < :before)"""


@dataclass(frozen=True)
class Prunable:
    """Rows of a table that go: `condition` is SQL over ``old`` and ``:before``.

    No row goes while one of the stages `readers` is at work.
    """

    model: type[Base]
    condition: str
    before: dt.datetime
    readers: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """The table's name."""
        name: str = self.model.__tablename__
        return name

    @property
    def keys(self) -> list[str]:
        """The columns of its primary key."""
        return [column.name for column in Base.metadata.tables[self.table].primary_key]


@dataclass(frozen=True)
class Pruned:
    """How many rows of a table went, and why the others stayed for another night."""

    table: str
    rows: int
    postponed: str | None = None


def prunables(settings: Settings, today: dt.date) -> tuple[Prunable, ...]:
    """Return what has served by the start of the UTC day `today`."""

    def horizon(days: int) -> dt.datetime:
        return dt.datetime.combine(today, dt.time(), dt.UTC) - dt.timedelta(days=days)

    packs = horizon(settings.pack_retention_days)
    requests = horizon(settings.request_retention_days)
    return (
        Prunable(MirtAbility, SUPERSEDED, horizon(settings.ability_retention_days)),
        Prunable(AnswerPack, "old.completed_at < :before", packs, READERS_OF_PACKS),
        Prunable(InputDigest, "old.date < CAST(:before AS date)", packs, READERS_OF_PACKS),
        Prunable(BackfillWindow, "old.updated_at < :before", horizon(BACKFILL_RETENTION_DAYS)),
        # Those that are parked wait for a person.
        Prunable(ThetaRequest, "old.status IN ('done', 'noop') AND old.updated_at < :before", requests),
    )


def count_prunable(connection: Connection, what: Prunable) -> int:
    """Return how many rows would go."""
    counted = sa.text(f"SELECT count(*) FROM {what.table} AS old WHERE {what.condition}")
    return int(connection.scalar(counted, {"before": what.before}) or 0)


def prune(engine: Engine, what: Prunable, *, batch_rows: int = BATCH_ROWS) -> Pruned:
    """Delete the rows, `batch_rows` in a transaction; what is deleted when it is interrupted stays so."""
    rows = 0
    try:
        with engine.connect() as connection:
            while n_listed := _list(connection, what):
                for n_deleted in _delete_batches(engine, connection, what, n_listed, batch_rows):
                    rows += n_deleted
                if n_listed < MOST_LISTED_ROWS:
                    break
    except LockTimeoutError as error:
        logger.info("The rest of %s is left for another night: %s", what.table, error)
        return Pruned(what.table, rows, postponed=str(error))
    logger.info("Pruned %d rows of %s from before %s", rows, what.table, what.before)
    return Pruned(what.table, rows)


def _list(connection: Connection, what: Prunable) -> int:
    """List keys of rows that go, numbered from 1 on; return how many."""
    keys = ", ".join(f"old.{key}" for key in what.keys)
    with connection.begin():
        connection.execute(sa.text("DROP TABLE IF EXISTS pg_temp.prunable"))
        listed = connection.execute(
            sa.text(
                f"CREATE TEMP TABLE prunable AS SELECT row_number() OVER () AS number, {keys}"
                f" FROM {what.table} AS old WHERE {what.condition} LIMIT {MOST_LISTED_ROWS}"
            ),
            {"before": what.before},
        )
        connection.execute(sa.text("CREATE INDEX ON prunable (number)"))
        connection.execute(sa.text("ANALYZE prunable"))
    return int(listed.rowcount)


def _delete_batches(
    engine: Engine, connection: Connection, what: Prunable, n_listed: int, batch_rows: int
) -> Iterator[int]:
    same = " AND ".join(f"old.{key} = listed.{key}" for key in what.keys)
    # The condition again: a row may have changed since it was listed.
    delete = sa.text(
        f"DELETE FROM {what.table} AS old USING prunable AS listed"
        f" WHERE listed.number > :done AND listed.number <= :until AND {same} AND {what.condition}"
    )
    for done in range(0, n_listed, batch_rows):
        if done and what.readers:
            time.sleep(PAUSE_SECS)
        with ExitStack() as held:
            for reader in what.readers:
                held.enter_context(stage_lock(engine, reader, wait_secs=0))
            held.enter_context(connection.begin())
            span = {"done": done, "until": done + batch_rows}
            deleted = connection.execute(delete, {**span, "before": what.before})
        yield int(deleted.rowcount)
