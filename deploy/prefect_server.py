"""`prefect`, with two things in its server mended; the embedded stack's server runs by it.

Prefect 3.8's scheduler inserts runs from dictionaries that also hold their `state`, and leaves that key to be
ignored. SQLAlchemy 2.1 takes it for an assignment to the hybrid property `FlowRun.state`, finds no way to
translate it, and refuses: no schedule ever makes a run.

On SQLite most of its transactions begin as readers. One that comes to write after another has written fails
at once, however long it may wait for locks; the server answers 503, and clients ask again after two seconds.
See docs/decisions/0007.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from prefect.cli import app
from prefect.server.database.orm_models import FlowRun
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext
from sqlalchemy.ext.hybrid import hybrid_property


def _assigns_nothing(cls: type[FlowRun], mapping: Mapping[str, object], value: object) -> None:
    """Let a bulk insert leave the state out; the scheduler writes it to a table of its own."""


def mend_scheduler() -> None:
    """Tell SQLAlchemy what `state` in a bulk insert of runs means."""
    state = sa.inspect(FlowRun).all_orm_descriptors["state"]
    if isinstance(state, hybrid_property):
        state.bulk_dml_setter = _assigns_nothing


def _begin_as_writer(
    connection: sa.Connection,
    cursor: DBAPICursor,
    statement: str,
    parameters: object,
    context: ExecutionContext,
    executemany: bool,  # noqa: FBT001 (SQLAlchemy's signature)
) -> tuple[str, object]:
    return ("BEGIN IMMEDIATE" if statement == "BEGIN DEFERRED" else statement), parameters


def mend_transactions() -> None:
    """Let transactions on SQLite wait for each other; reads outside of transactions wait for nobody."""
    sa.event.listen(sa.Engine, "before_cursor_execute", _begin_as_writer, retval=True)


if __name__ == "__main__":
    mend_scheduler()
    mend_transactions()
    app()
