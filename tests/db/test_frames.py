"""Frames into the database and out again, to the last bit."""

import datetime as dt
import math
from collections.abc import Iterator

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection, Engine

from seedtest.db.frames import UTC_TIME, Schema, Written, read_frame, upsert
from seedtest.errors import DataError

SCHEMA: Schema = {
    "name": pl.String,
    "day": pl.Date,
    "said": pl.String,
    "theta": pl.Float64,
    "n": pl.Int32,
    "total": pl.Int64,
    "ok": pl.Boolean,
    "at": UTC_TIME,
}
# Column names that SQL would fold or take for a word of its own.
PROBE = sa.Table(
    "probe",
    sa.MetaData(),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("said", sa.Text),
    sa.Column("theta", sa.Double),
    sa.Column("n", sa.Integer),
    sa.Column("total", sa.BigInteger),
    sa.Column("ok", sa.Boolean),
    sa.Column("at", sa.DateTime(timezone=True)),
    sa.Column("stamped_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
)
TODAY = dt.date(2026, 11, 1)
NOW = dt.datetime(2026, 11, 1, 12, 30, 15, 123_456, tzinfo=dt.UTC)
AWKWARD = (
    "",
    " ",
    '"',
    '""',
    "'",
    "\\",
    "\\.",
    "a\n\\.\nb",
    "\n",
    "\r\n",
    "a\rb",
    "\t",
    ",",
    "NULL",
    "\\N",
    "찬호 😀",
)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        PROBE.create(connection)
        connection.commit()
        yield connection


def rows(**columns: list[object]) -> pl.DataFrame:
    """Rows n0, n1 … of today, with these columns."""
    n_rows = len(next(iter(columns.values())))
    keys = {"name": [f"n{n}" for n in range(n_rows)], "day": [TODAY] * n_rows}
    given = {name: SCHEMA[name] for name in columns if name in SCHEMA}
    return pl.DataFrame(keys | columns, schema_overrides=given)


def read_all(connection: Connection) -> pl.DataFrame:
    return read_frame(connection, "SELECT * FROM probe", SCHEMA).sort("name", "day")


# -- reading ---------------------------------------------------------------------------------------


VALUES: list[tuple[str, pl.DataType | type[pl.DataType], list[object]]] = [
    (
        "'', NULL, 'NULL', 'a,\"b\"', E'two\\nlines', E'\\\\.', ' '",
        pl.String,
        ["", None, "NULL", 'a,"b"', "two\nlines", "\\.", " "],
    ),
    (
        "1.5::float8, NULL, 'Infinity', '-Infinity', 1e-300, 0.1, 1e23",
        pl.Float64,
        [1.5, None, math.inf, -math.inf, 1e-300, 0.1, 1e23],
    ),
    ("true, NULL, false", pl.Boolean, [True, None, False]),
    ("-2147483648, NULL, 2147483647", pl.Int32, [-(2**31), None, 2**31 - 1]),
    (
        "date '2028-02-29', NULL, '1969-12-31'",
        pl.Date,
        [dt.date(2028, 2, 29), None, dt.date(1969, 12, 31)],
    ),
    (
        "timestamptz '2026-11-01 12:30:15.123456Z', NULL, '1970-01-01 08:59:59.999999+09'",
        UTC_TIME,
        [NOW, None, dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, dt.UTC)],
    ),
    ("'9F86D081884C7D659A2FEAA0C55AD015'::uuid", pl.String, ["9f86d081-884c-7d65-9a2f-eaa0c55ad015"]),
]


def test_values_of_each_type_arrive_as_they_are(engine: Engine) -> None:
    with engine.connect() as connection:
        for sql, kind, values in VALUES:
            query = f"SELECT * FROM unnest(ARRAY[{sql}]) WITH ORDINALITY AS v (value, place)"
            frame = read_frame(connection, query, {"place": pl.Int64, "value": kind}).sort("place")
            # A single column, where a NULL is an empty line.
            alone = read_frame(connection, f"SELECT unnest(ARRAY[{sql}]) AS value", {"value": kind})
            assert frame["value"].to_list() == values
            assert frame.schema == {"place": pl.Int64, "value": kind}
            assert alone["value"].to_list() == values


def test_not_a_number_is_not_null(engine: Engine) -> None:
    with engine.connect() as connection:
        query = "SELECT unnest(ARRAY['NaN'::float8, NULL]) AS theta"
        theta = read_frame(connection, query, {"theta": pl.Float64})["theta"]
    assert (theta.is_nan().sum(), theta.null_count()) == (1, 1)


def test_an_empty_result_keeps_the_schema(connection: Connection) -> None:
    assert read_all(connection).schema == pl.Schema(SCHEMA)


def test_types_come_from_the_schema_even_if_every_value_is_null(connection: Connection) -> None:
    upsert(connection, PROBE, rows(said=[None, None]))
    frame = read_all(connection)
    assert frame.schema == pl.Schema(SCHEMA)
    assert frame.select("said", "theta", "n", "total", "ok", "at").null_count().row(0) == (2,) * 6


def test_parameters_are_bound_not_pasted(engine: Engine) -> None:
    text = 'it\'s 100% "so"; DROP TABLE x --\\'
    with engine.connect() as connection:
        query = "SELECT %(text)s AS said WHERE %(text)s = %(text)s AND 5 %% 3 = 2"
        frame = read_frame(connection, query, {"said": pl.String}, {"text": text})
    assert frame.item() == text


def test_a_read_sees_the_transaction_it_is_in(connection: Connection, engine: Engine) -> None:
    upsert(connection, PROBE, rows(said=["new"]))
    assert read_all(connection)["said"].to_list() == ["new"]
    with engine.connect() as another:
        assert read_all(another).is_empty()


def test_many_rows_with_line_breaks_in_quotes_stay_apart(engine: Engine) -> None:
    query = (
        "SELECT n, E'\"' || n || E'\",\\n\\r\\n\"\"' || repeat(E'\\n,\"', (n % 7)::int) AS said"
        " FROM generate_series(1, 60000) AS n"
    )
    with engine.connect() as connection:
        frame = read_frame(connection, query, {"n": pl.Int64, "said": pl.String}).sort("n")
    assert frame["said"].to_list() == [f'"{n}",\n\r\n""' + '\n,"' * (n % 7) for n in range(1, 60_001)]


# -- writing ---------------------------------------------------------------------------------------


def test_awkward_texts_come_back_and_null_is_not_empty(connection: Connection) -> None:
    frame = rows(said=[*AWKWARD, None])
    assert upsert(connection, PROBE, frame) == Written(inserted=frame.height)
    assert set(read_all(connection).select("name", "said").iter_rows()) == set(
        frame.select("name", "said").iter_rows()
    )


def test_a_time_of_any_zone_is_the_same_moment(connection: Connection) -> None:
    seoul = pl.Series("at", [NOW]).dt.convert_time_zone("Asia/Seoul")
    connection.execute(sa.text("SET LOCAL timezone TO 'America/New_York'"))
    upsert(connection, PROBE, rows(said=[""]).with_columns(seoul))
    assert read_all(connection)["at"].to_list() == [NOW]


TEXTS = st.sampled_from(AWKWARD) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=10
)
DAYS = st.dates(dt.date(1900, 1, 1), dt.date(9999, 12, 30))
TIMES = st.datetimes(
    NOW.replace(1900, tzinfo=None), NOW.replace(9999, tzinfo=None), timezones=st.just(dt.UTC)
)
ROWS = st.tuples(
    TEXTS,
    DAYS,
    st.none() | TEXTS,
    st.none() | st.floats(),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.booleans(),
    st.none() | TIMES,
)


# Every example is rolled back, so that they may share the fixture's database.
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(ROWS, max_size=12, unique_by=lambda row: row[:2]))
def test_a_frame_comes_back_as_it_went_in_and_again_changes_nothing(
    connection: Connection, drawn: list[tuple[object, ...]]
) -> None:
    frame = pl.DataFrame(drawn, schema=dict(SCHEMA), orient="row").sort("name", "day")
    with connection.begin() as transaction:
        assert upsert(connection, PROBE, frame) == Written(inserted=frame.height)
        assert read_all(connection).equals(frame, null_equal=True)
        assert upsert(connection, PROBE, frame.reverse(), stamp="stamped_at") == Written(
            unchanged=frame.height
        )
        transaction.rollback()


def test_changed_rows_alone_are_counted_and_stamped(connection: Connection) -> None:
    old = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    upsert(connection, PROBE, rows(theta=[1.0, 2.0, None, math.nan]))
    connection.execute(sa.update(PROBE).values(stamped_at=old))
    changed = rows(theta=[1.0, 2.5, 0.0, math.nan, 5.0])
    assert upsert(connection, PROBE, changed, stamp="stamped_at") == Written(1, 2, 2)
    stamps = connection.execute(sa.select(PROBE.c.stamped_at > old).order_by(PROBE.c.name)).scalars()
    assert list(stamps) == [False, True, True, False, True]


def test_columns_that_the_frame_does_not_have_stay_as_they_are(connection: Connection) -> None:
    upsert(connection, PROBE, rows(said=["kept"], n=[1]))
    assert upsert(connection, PROBE, rows(n=[2])) == Written(changed=1)
    assert read_all(connection).select("said", "n").row(0) == ("kept", 2)


def test_a_merged_column_takes_the_value_of_its_expression(connection: Connection) -> None:
    upsert(connection, PROBE, rows(n=[3, 5]))
    merge = {"n": "greatest(old.n, excluded.n)"}
    assert upsert(connection, PROBE, rows(n=[4, 4]), merge=merge) == Written(changed=1, unchanged=1)
    assert read_all(connection)["n"].to_list() == [4, 5]


def test_an_empty_frame_writes_nothing(connection: Connection) -> None:
    assert upsert(connection, PROBE, pl.DataFrame(schema=dict(SCHEMA))) == Written()


def test_a_rollback_leaves_nothing(connection: Connection) -> None:
    upsert(connection, PROBE, rows(said=["a", "b"]))
    connection.rollback()
    assert read_all(connection).is_empty()


def test_two_rows_of_one_key_are_refused_by_name_and_nothing_is_written(connection: Connection) -> None:
    frame = pl.concat([rows(n=[1, 2]), rows(n=[3])])
    with pytest.raises(DataError, match=r"2 rows for probe.*name 'n0', day datetime\.date\(2026, 11, 1\)"):
        upsert(connection, PROBE, frame)
    assert read_all(connection).is_empty()


def test_what_was_written_is_told_without_zeros() -> None:
    written = Written(inserted=2, changed=0, unchanged=3, deleted=1)
    assert written.rows == 5
    assert written.described("KPI rows") == {
        "KPI rows inserted": 2,
        "KPI rows unchanged": 3,
        "KPI rows deleted": 1,
    }
    assert str(written) == "2 inserted, 0 changed, 3 unchanged, 1 deleted"
