"""Migrations: up, down, again, beside a platform's own tables."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Engine

from seedtest.db import migrate
from seedtest.db.engine import create_engine
from seedtest.db.schema import PIPELINE_TABLES, SOURCE_TABLES, Base
from seedtest.errors import ConfigurationError

SOURCE_NAMES = {table.name for table in SOURCE_TABLES}


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        return set(sa.inspect(engine).get_table_names()) - {"alembic_version"}
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
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
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
