"""Which migration a database is at, without Alembic: its import would cost every run a third of a second."""

from pathlib import Path

import sqlalchemy as sa
from psycopg2.errors import UndefinedTable
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ProgrammingError

from seedtest.errors import ConfigurationError

MIGRATIONS = Path(__file__).parent / "migrations"


def known_revisions() -> list[str]:
    """Return the migrations of this version in their order, which their files are named by."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def require_schema(engine: Engine) -> None:
    """Raise ConfigurationError unless the database is at the newest migration."""
    known, found = known_revisions(), _revision(engine)
    if found == known[-1]:
        return
    if found is None or found in known:
        remedy = "Run `seedtest up`, or `alembic upgrade head` with DATABASE_URL set."
    else:
        remedy = "This version of seedtest does not know that one: update it, or name another database."
    raise ConfigurationError(
        f"The database {engine.url.database} is at migration {found or 'none'}; {known[-1]} is needed. "
        f"{remedy}"
    )


def _revision(engine: Engine) -> str | None:
    """Return the migration that the database is at; None where none has been run."""
    try:
        with engine.connect() as connection:
            revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    except ProgrammingError as error:
        if isinstance(error.orig, UndefinedTable):
            return None
        raise
    return revision
