"""Alembic's entry: the connection comes from the caller, or from DATABASE_URL for the alembic command."""

from alembic import context
from sqlalchemy.engine import Connection

from seedtest.db.engine import create_engine
from seedtest.db.schema import SOURCE_TABLES, Base
from seedtest.settings import load_settings

SOURCE_NAMES = {table.name for table in SOURCE_TABLES}


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out the platform's tables: it may add columns and indexes as it likes."""
    return kind != "table" or (name in Base.metadata.tables and name not in SOURCE_NAMES)


def include_object(
    _object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object
) -> bool:
    """Leave the platform's tables out on the models' side too."""
    return kind != "table" or name not in SOURCE_NAMES


def run(connection: Connection) -> None:
    """Migrate within the caller's transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
        include_object=include_object,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


caller: Connection | None = context.config.attributes.get("connection")
if caller is not None:
    run(caller)
else:
    with create_engine(load_settings().require_database_url()).connect() as own:
        run(own)
