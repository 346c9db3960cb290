"""Migrations: up, down, again, beside a platform's own tables."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine

from seedtest.db import migrate
from seedtest.db.engine import create_engine
from seedtest.db.revision import MIGRATIONS, known_revisions, require_schema
from seedtest.db.schema import PIPELINE_TABLES, SOURCE_TABLES, Base
from seedtest.errors import ConfigurationError

SOURCE_NAMES = {table.name for table in SOURCE_TABLES}


def is_compared(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or not is_partition(name)


COMPARED = {"compare_server_default": True, "include_name": is_compared}


def is_partition(name: str | None) -> bool:
    """Whether a table is a part of answer_pack, which models know as a whole."""
    return name is not None and re.fullmatch(r"answer_pack_\d\d", name) is not None


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        names = sa.inspect(engine).get_table_names()
        return {name for name in names if not is_partition(name)} - {"alembic_version"}
    finally:
        engine.dispose()


def execute(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def test_models_and_tables_agree_the_platforms_included(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=COMPARED)
        differences = compare_metadata(context, Base.metadata)
    # Constraints of the platform's tables bear PostgreSQL's names, and their comments are our mark.
    expected = {"add_constraint", "remove_constraint", "remove_table_comment"}
    assert [difference for difference in differences if difference[0] not in expected] == []


def test_alembic_check_is_clean(database_url: str) -> None:
    migrate.check(database_url)


def test_upgrade_twice_changes_nothing(database_url: str) -> None:
    before = tables(database_url)
    migrate.upgrade(database_url)
    assert tables(database_url) == before == SOURCE_NAMES | {table.name for table in PIPELINE_TABLES}


def test_downgrade_to_base_and_up_again(database_url: str) -> None:
    migrate.downgrade(database_url)
    assert tables(database_url) == set()
    migrate.upgrade(database_url)
    migrate.check(database_url)


def test_downgrade_keeps_learners_answers(database_url: str) -> None:
    execute(database_url, "INSERT INTO exam_results (session_id, result_json) VALUES ('s', '{}')")
    migrate.downgrade(database_url)
    assert tables(database_url) == {"exam_results"}


def test_the_platforms_own_tables_stay_as_they_are(empty_database_url: str) -> None:
    execute(
        empty_database_url,
        "CREATE TABLE exam_results (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),"
        " session_id varchar(64) UNIQUE, user_id varchar(255), status varchar(16) DEFAULT 'ready',"
        " result_json jsonb, exam_id int, extra int,"
        " created_at timestamptz DEFAULT now(), updated_at timestamptz)",
        "INSERT INTO exam_results (session_id, user_id, result_json)"
        " VALUES ('s', 'u', '{\"questions\": [{\"question_id\": 1}]}')",
    )
    migrate.upgrade(empty_database_url)
    engine = create_engine(empty_database_url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT completed_at IS NOT NULL FROM attempt")) is True
    engine.dispose()
    migrate.check(empty_database_url)
    migrate.downgrade(empty_database_url)
    assert tables(empty_database_url) == {"exam_results"}


def test_a_table_the_views_cannot_read_is_refused_and_nothing_changes(empty_database_url: str) -> None:
    execute(empty_database_url, "CREATE TABLE question (id int PRIMARY KEY, content text, meta json)")
    with pytest.raises(
        ConfigurationError, match=r"question.*id text \(is integer\).*topic_id text \(missing\)"
    ):
        migrate.upgrade(empty_database_url)
    assert tables(empty_database_url) == {"question"}


NEEDED = {
    "exam_results": (
        *("id", "session_id", "user_id", "exam_id", "status", "result_json", "created_at", "updated_at"),
    ),
    "question": ("id", "content", "topic_id", "meta", "updated_at"),
    "interest_goal": ("user_id", "topic_id", "target_level", "priority"),
}


def make_platforms(url: str, table: str, change: str) -> None:
    """Make one of the platform's tables as the contract has it, but for one change."""
    engine = create_engine(url)
    with engine.begin() as connection:
        Base.metadata.tables[table].create(connection)
        connection.execute(sa.text(f"ALTER TABLE {table} {change}"))
    engine.dispose()


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in NEEDED.items() for column in columns]
)
def test_a_table_without_a_needed_column_is_refused_and_nothing_is_created(
    empty_database_url: str, table: str, column: str
) -> None:
    make_platforms(empty_database_url, table, f"DROP COLUMN {column} CASCADE")
    with pytest.raises(ConfigurationError, match=rf"table {table} cannot be read: {column}.*\(missing\)"):
        migrate.upgrade(empty_database_url)
    assert tables(empty_database_url) == {table}


def test_what_the_views_mention_is_among_the_needed(engine: Engine) -> None:
    with engine.connect() as connection:
        used = connection.execute(
            sa.text("SELECT table_name, column_name FROM information_schema.view_column_usage")
        ).all()
    of_platform = {(table, column) for table, column in used if table in SOURCE_NAMES}
    assert ("exam_results", "exam_id") in of_platform
    assert of_platform <= {(table, column) for table, columns in NEEDED.items() for column in columns}


@pytest.mark.parametrize(
    ("table", "change", "fault"),
    [
        ("exam_results", "ALTER exam_id TYPE text", "exam_id integer (is text)"),
        ("exam_results", "ALTER result_json TYPE json", "result_json jsonb (is json)"),
        ("question", "ALTER updated_at DROP DEFAULT, ALTER updated_at TYPE text", "updated_at timestamp"),
        ("interest_goal", "ALTER target_level TYPE text", "target_level number (is text)"),
        ("interest_goal", "ALTER priority TYPE numeric", "priority integer (is numeric)"),
    ],
)
def test_a_column_of_another_kind_is_refused_and_nothing_is_created(
    empty_database_url: str, table: str, change: str, fault: str
) -> None:
    make_platforms(empty_database_url, table, change)
    with pytest.raises(ConfigurationError, match=re.escape(fault)):
        migrate.upgrade(empty_database_url)
    assert tables(empty_database_url) == {table}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("exam_results", "ALTER exam_id TYPE bigint, ALTER session_id TYPE varchar(64)"),
        ("question", "ALTER updated_at TYPE timestamp"),
        ("interest_goal", "ALTER target_level TYPE numeric(4, 2), ALTER priority TYPE bigint"),
    ],
)
def test_a_column_of_a_like_kind_is_taken(empty_database_url: str, table: str, change: str) -> None:
    make_platforms(empty_database_url, table, change)
    migrate.upgrade(empty_database_url)
    assert tables(empty_database_url) > SOURCE_NAMES


# -- the schema that commands and stages need -------------------------------------------------------


def refusal(url: str) -> str:
    engine = create_engine(url)
    try:
        with pytest.raises(ConfigurationError) as raised:
            require_schema(engine)
    finally:
        engine.dispose()
    return str(raised.value)


def test_a_migrated_database_may_be_used(engine: Engine) -> None:
    require_schema(engine)


def test_a_database_without_the_newest_migration_is_refused_with_the_remedy(empty_database_url: str) -> None:
    assert "is at migration none; 0" in refusal(empty_database_url)
    migrate.upgrade(empty_database_url, "0002")
    message = refusal(empty_database_url)
    assert "is at migration 0002; 0" in message
    assert "`seedtest up`, or `alembic upgrade head` with DATABASE_URL set" in message
    migrate.upgrade(empty_database_url, "0004")
    migrate.downgrade(empty_database_url)
    assert "is at migration none" in refusal(empty_database_url)


def test_a_database_newer_than_the_code_is_refused_and_says_to_update(database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    assert "update it" in refusal(database_url)


def test_an_index_left_invalid_is_built_anew(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "0001")
    execute(
        empty_database_url,
        "CREATE INDEX ix_exam_results_user_id ON exam_results (user_id)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_exam_results_user_id'::regclass",
    )
    migrate.upgrade(empty_database_url)
    engine = create_engine(empty_database_url)
    with engine.connect() as connection:
        assert not connection.scalar(sa.text("SELECT count(*) FROM pg_index WHERE NOT indisvalid"))
    engine.dispose()


def test_many_processes_may_migrate_at_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate.upgrade, [empty_database_url] * 4))
    migrate.check(empty_database_url)


def test_the_revisions_are_named_by_their_files_in_alembics_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert known_revisions() == [revision.revision for revision in script.walk_revisions()][::-1]
    assert script.get_current_head() == known_revisions()[-1]
