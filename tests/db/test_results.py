"""Features and KPIs in the database: what a run replaces, deletes and leaves alone."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db.buckets import EVERYBODY, Shard
from seedtest.db.digests import store_digests
from seedtest.db.frames import Written
from seedtest.db.results import sweep_features, sweep_kpis, write_features, write_kpis
from seedtest.db.schema import FeaturesTopicDaily, WeeklyKpi
from seedtest.features import FeatureResult, topic_features
from seedtest.irt import STANDARD_NORMAL, ItemParameters
from seedtest.kpis import KPIS
from tests.cohorts import answer, at, attempts_frame

MONDAY = dt.date(2026, 11, 2)
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def day(n: int) -> dt.date:
    return dt.date(2026, 11, n)


def features(*keys: tuple[str, str, dt.date], last_day: dt.date | None = None) -> FeatureResult:
    """The features of one right answer for each learner, topic and day."""
    answers = [
        answer(at(date), user_id=user_id, topic_id=topic_id, ms=2000) for user_id, topic_id, date in keys
    ]
    first = min((date for _, _, date in keys), default=day(1))
    return topic_features(
        attempts_frame(answers),
        first,
        last_day or day(28),
        items=ItemParameters.from_values(["Q1"], a=[1.0], b=[0.0]),
        prior=STANDARD_NORMAL,
        repeats="first",
    )


def days_of(user_ids: Sequence[str], first: int, last: int) -> pl.DataFrame:
    """The days from `first` to `last` of each learner."""
    rows = [(user_id, day(n)) for user_id in user_ids for n in range(first, last + 1)]
    return pl.DataFrame(rows, schema={"user_id": pl.String, "date": pl.Date}, orient="row")


def write(connection: Connection, keys: Sequence[tuple[str, str, dt.date]], *days: int) -> Written:
    return write_features(connection, features(*keys).rows, days_of(["ann", "bob"], days[0], days[1]))


def keys_of(connection: Connection) -> set[tuple[Any, ...]]:
    table = FeaturesTopicDaily
    return {tuple(row) for row in connection.execute(sa.select(table.user_id, table.topic_id, table.date))}


def test_features_arrive_with_every_column(engine: Engine) -> None:
    with engine.begin() as connection:
        assert write(connection, [("ann", "algebra", day(3))], 1, 7) == Written(inserted=1)
        row = connection.execute(sa.select(FeaturesTopicDaily.__table__)).one()
    assert (row.attempts, row.correct, row.hints, row.avg_time_ms, row.rt_median) == (1, 1, 0, 2000, 2000)
    assert row.theta_estimate > 0
    assert 0 < row.theta_sd < 1
    assert row.improvement is None
    assert row.last_seen_at == at(day(3))


def test_rows_whose_answers_are_gone_go_within_the_days_written_alone(engine: Engine) -> None:
    window = [("ann", "algebra", day(n)) for n in range(1, 8)]
    others = [("ann", "algebra", day(8)), ("ann", "it's", day(4)), ("bob", "algebra", day(4))]
    with engine.begin() as connection:
        write(connection, [*window, *others], 1, 28)
        left = [window[0], window[4]]
        assert write(connection, left, 2, 6) == Written(unchanged=2, deleted=6)
        assert keys_of(connection) == {window[0], window[4], window[6], others[0]}


def test_a_window_without_answers_is_emptied(engine: Engine) -> None:
    with engine.begin() as connection:
        write(connection, [("ann", "algebra", day(n)) for n in (1, 2, 3)], 1, 28)
        assert write(connection, [], 2, 3) == Written(deleted=2)
        assert keys_of(connection) == {("ann", "algebra", day(1))}


def test_features_that_say_the_same_keep_their_computed_at(engine: Engine) -> None:
    keys = [("ann", "algebra", day(1)), ("bob", "algebra", day(1))]
    with engine.begin() as connection:
        write(connection, keys, 1, 1)
        connection.execute(sa.update(FeaturesTopicDaily).values(computed_at=LONG_AGO))
        later = features(*keys).rows.with_columns(hints=pl.Series([0, 1]))
        assert write_features(connection, later, days_of(["ann", "bob"], 1, 1)) == Written(
            changed=1, unchanged=1
        )
        stamps = sa.select(FeaturesTopicDaily.user_id).where(FeaturesTopicDaily.computed_at > LONG_AGO)
        assert connection.scalars(stamps).all() == ["bob"]


# -- KPIs ------------------------------------------------------------------------------------------


def kpi_rows(user_ids: Sequence[str], **values: float | None) -> pl.DataFrame:
    """One week's row for each learner; KPIs that are not given are null."""
    row = {"week_start": MONDAY, "as_of": MONDAY} | dict.fromkeys(KPIS) | values
    schema = {
        "user_id": pl.String,
        "week_start": pl.Date,
        "as_of": pl.Date,
        **dict.fromkeys(KPIS, pl.Float64),
    }
    return pl.DataFrame([{"user_id": user_id} | row for user_id in user_ids], schema=schema)


def kpis_of(connection: Connection) -> dict[str, Any]:
    return {row.user_id: row.kpis for row in connection.execute(sa.select(WeeklyKpi.user_id, WeeklyKpi.kpis))}


def test_all_six_kpis_are_numbers_or_null(engine: Engine) -> None:
    values = {"I_t": -0.1, "E_t": 0.0, "R_t": 1.0, "A_t": 1 / 3, "P": 1e-17}
    with engine.begin() as connection:
        assert write_kpis(connection, kpi_rows(["ann"], **values)) == Written(inserted=1)
        assert kpis_of(connection) == {"ann": values | {"S": None}}
        kinds = "SELECT key, jsonb_typeof(value) FROM weekly_kpi, jsonb_each(kpis)"
        found = {row[0]: row[1] for row in connection.execute(sa.text(kinds))}
    assert found == dict.fromkeys(values, "number") | {"S": "null"}


def test_keys_that_other_jobs_added_survive(engine: Engine) -> None:
    with engine.begin() as connection:
        write_kpis(connection, kpi_rows(["ann", "bob"], P=0.5, S=0.2))
        connection.execute(
            sa.text("UPDATE weekly_kpi SET kpis = kpis || '{\"sigma\": 0.3}' WHERE user_id = 'ann'")
        )
        written = write_kpis(connection, kpi_rows(["ann", "bob"], P=0.6))
        assert written == Written(changed=2)
        kpis = kpis_of(connection)
    assert kpis["ann"] == dict.fromkeys(KPIS) | {"P": 0.6, "sigma": 0.3}
    assert kpis["bob"] == dict.fromkeys(KPIS) | {"P": 0.6}


def test_kpis_that_say_the_same_keep_their_updated_at(engine: Engine) -> None:
    with engine.begin() as connection:
        write_kpis(connection, kpi_rows(["ann", "bob"], P=0.5))
        # A foreign key alone is no difference.
        connection.execute(
            sa.text(
                "UPDATE weekly_kpi SET kpis = kpis || '{\"sigma\": 1}',"
                " created_at = :then, updated_at = :then"
            ),
            {"then": LONG_AGO},
        )
        rows = pl.concat([kpi_rows(["ann"], P=0.5), kpi_rows(["bob"], P=0.25)])
        assert write_kpis(connection, rows) == Written(changed=1, unchanged=1)
        stamps = {
            row.user_id: (row.created_at == LONG_AGO, row.updated_at == LONG_AGO)
            for row in connection.execute(sa.select(WeeklyKpi.__table__))
        }
    assert stamps == {"ann": (True, True), "bob": (True, False)}


def test_weeks_of_a_learner_stand_beside_each_other(engine: Engine) -> None:
    last_week = kpi_rows(["ann"], P=0.1).with_columns(week_start=pl.lit(MONDAY - dt.timedelta(days=7)))
    with engine.begin() as connection:
        assert write_kpis(connection, pl.concat([kpi_rows(["ann"], P=0.2), last_week])) == Written(inserted=2)


def test_learners_whose_answers_are_gone_keep_a_row_of_nulls(engine: Engine) -> None:
    with engine.begin() as connection:
        write_kpis(connection, kpi_rows(["ann", "bob"], P=0.5))
        connection.execute(sa.text("UPDATE weekly_kpi SET kpis = kpis || '{\"sigma\": 1}'"))
        gone = kpi_rows(["bob"]).select("user_id", "week_start")
        written = write_kpis(connection, kpi_rows(["ann"], P=0.5), gone)
        kpis = kpis_of(connection)
    assert written == Written(changed=1, unchanged=1)
    assert kpis["bob"] == dict.fromkeys(KPIS) | {"sigma": 1}


# -- rows that no digest vouches for ---------------------------------------------------------------

STAGE = "compute-daily-kpis"


def vouch(connection: Connection, stage: str, user_id: str, date: dt.date) -> None:
    frame = pl.DataFrame({"user_id": [user_id], "date": [date], "digest": [1]})
    store_digests(connection, stage, frame)


def test_a_sweep_empties_weeks_of_learners_that_no_run_had_to_do_with(engine: Engine) -> None:
    with engine.begin() as connection:
        write_kpis(connection, kpi_rows(["ann", "bob", "cleo"], P=0.5))
        vouch(connection, STAGE, "ann", MONDAY)
        assert sweep_kpis(connection, STAGE, [MONDAY - dt.timedelta(days=7)], [], EVERYBODY) == 0
        assert sweep_kpis(connection, STAGE, [MONDAY], ["cleo"], EVERYBODY) == 1
        kpis = kpis_of(connection)
    assert {user_id: values["P"] for user_id, values in kpis.items()} == {
        "ann": 0.5,
        "bob": None,
        "cleo": 0.5,
    }


def test_a_sweep_deletes_features_of_days_without_answers_within_its_range_and_shard(engine: Engine) -> None:
    stage = "aggregate-features-daily"
    keys = [(user_id, "algebra", day(n)) for user_id in ("ann", "bob") for n in (1, 2, 3)]
    with engine.begin() as connection:
        write(connection, keys, 1, 3)
        vouch(connection, stage, "ann", day(2))
        deleted = [sweep_features(connection, stage, day(2), day(3), Shard(number, 2)) for number in range(2)]
        assert sum(deleted) == 3
        assert keys_of(connection) == {keys[0], keys[1], keys[3]}
