"""θ after a session: which answers count, what is written, what is said when there is nothing to write."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db.attempts import last_days, load_attempts
from seedtest.db.calibrations import load_fit
from seedtest.errors import DataError
from seedtest.irt import Prior
from seedtest.online import NoopReason, ThetaUpdate, update_theta, update_thetas
from seedtest.settings import Repeats, load_settings
from seedtest.theta import topic_abilities, window_theta
from seedtest.windows import first_day
from tests.cohorts import CALIBRATED, parameters
from tests.online_answers import (
    DAY,
    NOW,
    USER_IDS,
    abilities,
    add_cohort,
    publish,
    sit,
    topics,
)

SETTINGS = load_settings()
TODAY = NOW.date()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A connection to a database with a fit in force."""
    with engine.connect() as connection:
        publish(connection)
        connection.commit()
        yield connection


def update(
    connection: Connection, user_id: str = "ann", days: int = 30, now: dt.datetime = NOW, **settings: Any
) -> ThetaUpdate:
    """Update and commit."""
    given = load_settings(**settings)
    found = update_theta(connection, user_id, settings=given, lookback_days=days, now=now)
    connection.commit()
    return found


def theta(update: ThetaUpdate) -> float:
    """The θ of an update that has one."""
    assert update.theta is not None
    return update.theta


def as_a_window(connection: Connection, days: int, repeats: Repeats) -> list[dict[str, Any]]:
    """The learners' θ over the last days as the nightly stages compute it."""
    fit = load_fit(connection)
    windows = pl.DataFrame({"user_id": sorted(USER_IDS)}).with_columns(
        first_day=pl.lit(first_day(TODAY, days)), last_day=pl.lit(TODAY)
    )
    attempts = load_attempts(connection, last_days(TODAY, days))
    return window_theta(attempts, windows, fit.items, fit.prior, repeats, by=["user_id"]).to_dicts()


# -- which answers count -------------------------------------------------------------------------------


@pytest.mark.parametrize("repeats", ["first", "latest", "all"])
@pytest.mark.parametrize("days", [4, 30, 66])
def test_theta_is_that_of_the_window_to_the_last_bit(
    connection: Connection, repeats: Repeats, days: int
) -> None:
    add_cohort(connection)
    updates = update_thetas(
        connection,
        sorted(USER_IDS),
        settings=load_settings(mirt_repeats=repeats),
        lookback_days=days,
        now=NOW,
    )
    expected = as_a_window(connection, days, repeats)
    assert [(u.theta, u.se, u.as_of) for u in updates] == [
        (row["theta"], row["se"], row["newest_at"]) for row in expected
    ]
    assert "ok" in {u.status for u in updates}


@pytest.mark.parametrize("repeats", ["first", "latest", "all"])
def test_topics_are_those_of_a_calibration_to_the_last_bit(connection: Connection, repeats: Repeats) -> None:
    add_cohort(connection)
    update_thetas(
        connection, USER_IDS, settings=load_settings(mirt_repeats=repeats), lookback_days=30, now=NOW
    )
    fit = load_fit(connection)
    attempts = load_attempts(connection, last_days(TODAY, 60))
    expected = topic_abilities(attempts, TODAY, fit.items, fit.prior, repeats)
    columns = ["user_id", "topic_id", "theta", "se", "n", "as_of"]
    assert [row[:6] for row in topics(connection)] == expected.select(columns).rows()


def test_the_rule_on_repeats_is_that_of_the_setting(connection: Connection) -> None:
    sit(connection, completed_at=NOW - 3 * DAY, Q1=False, Q2=True)
    sit(connection, completed_at=NOW - DAY, Q1=True)
    first, latest = update(connection), update(connection, mirt_repeats="latest")
    assert (first.as_of, latest.as_of) == (NOW - 3 * DAY, NOW - DAY)
    assert theta(first) < theta(latest)


def test_a_window_takes_its_whole_days(connection: Connection) -> None:
    midnight = dt.datetime.combine(TODAY, dt.time(), dt.UTC)
    sit(connection, completed_at=midnight - 29 * DAY - dt.timedelta(microseconds=1), Q1=True)
    assert update(connection).reason is NoopReason.NO_ATTEMPTS
    sit(connection, completed_at=midnight - 29 * DAY, Q2=True)
    assert update(connection).as_of == midnight - 29 * DAY


def test_an_answer_by_a_clock_that_is_ahead_counts_at_once(connection: Connection) -> None:
    before_midnight = dt.datetime(2026, 11, 5, 23, 59, 59, tzinfo=dt.UTC)
    sit(connection, completed_at=before_midnight + dt.timedelta(seconds=2), Q1=True)
    assert update(connection, now=before_midnight).status == "ok"


def test_without_a_moment_given_the_window_ends_now(connection: Connection) -> None:
    sit(connection, completed_at=dt.datetime.now(dt.UTC), Q1=True)
    assert update_theta(connection, "ann", settings=SETTINGS, lookback_days=1).status == "ok"


def test_a_batch_is_its_learners_one_by_one_to_the_last_bit(connection: Connection) -> None:
    add_cohort(connection)
    single = [update(connection, user_id) for user_id in USER_IDS]
    alone = abilities(connection), topics(connection)
    batch = update_thetas(connection, USER_IDS, settings=SETTINGS, lookback_days=30, now=NOW)
    # Nothing was written anew, so all was equal; and a fresh batch writes what single updates wrote.
    assert batch == single
    assert (abilities(connection), topics(connection)) == alone
    connection.execute(sa.text("TRUNCATE mirt_ability, student_topic_theta"))
    update_thetas(connection, USER_IDS, settings=SETTINGS, lookback_days=30, now=NOW)
    fresh = abilities(connection), topics(connection)
    for rows, before in zip(fresh, alone, strict=True):
        assert [row[:-1] for row in rows] == [row[:-1] for row in before]


def test_updates_come_in_the_order_of_the_learners_named_however_often(connection: Connection) -> None:
    sit(connection, "bob", Q1=True)
    named = ["zoe", "bob", "ann", "bob"]
    updates = update_thetas(connection, named, settings=SETTINGS, lookback_days=30, now=NOW)
    assert [update.user_id for update in updates] == named
    assert [update.status for update in updates] == ["noop", "ok", "noop", "ok"]
    assert update_thetas(connection, [], settings=SETTINGS, lookback_days=30) == []


# -- what is written -----------------------------------------------------------------------------------


def test_an_update_appends_the_row_that_it_tells(connection: Connection) -> None:
    sit(connection, Q1=True, Q2=False)
    told = update(connection)
    query = "SELECT user_id, theta, se, model, version, fitted_at, as_of, source FROM mirt_ability_latest"
    row = connection.execute(sa.text(query)).one()
    assert row == (
        "ann",
        told.theta,
        told.se,
        told.model,
        told.version,
        told.updated_at,
        told.as_of,
        "online",
    )
    assert told.as_of == NOW - DAY


def test_the_same_answers_change_nothing(connection: Connection) -> None:
    add_cohort(connection)
    first = update(connection)
    written = abilities(connection), topics(connection)
    assert update(connection) == first
    assert (abilities(connection), topics(connection)) == written
    assert len(written[0]) == 1


def test_new_answers_append_and_late_ones_replace(connection: Connection) -> None:
    sit(connection, completed_at=NOW - 2 * DAY, Q1=True)
    update(connection)
    sit(connection, completed_at=NOW - DAY, Q2=True)
    before = update(connection)
    assert [row[3] for row in abilities(connection)] == [NOW - 2 * DAY, NOW - DAY]
    sit(connection, completed_at=NOW - 3 * DAY, Q4=False)
    late = update(connection)
    assert late.as_of == before.as_of
    assert theta(late) < theta(before)
    assert late.updated_at != before.updated_at
    assert [row[3:5] for row in abilities(connection)][1:] == [(NOW - DAY, late.theta)]
    assert len(abilities(connection)) == 2


def test_only_the_topics_whose_answers_changed_are_written(connection: Connection) -> None:
    sit(connection, completed_at=NOW - 2 * DAY, Q1=True, Q2=True)
    update(connection)
    algebra, geometry = topics(connection)
    sit(connection, completed_at=NOW - DAY, Q4=False)
    update(connection)
    changed, kept = topics(connection)
    assert (algebra[1], geometry[1]) == ("algebra", "geometry")
    assert kept == geometry
    assert (changed[4], changed[5]) == (2, NOW - DAY)


def test_a_topic_with_newer_answers_is_not_overwritten(connection: Connection) -> None:
    sit(connection, Q1=True)
    update(connection)
    connection.execute(sa.text("UPDATE student_topic_theta SET as_of = as_of + interval '1 hour', theta = 9"))
    newer = topics(connection)
    sit(connection, completed_at=NOW - DAY + dt.timedelta(minutes=30), Q4=True)
    update(connection)
    assert topics(connection) == newer


def test_a_new_calibration_is_used_by_the_next_update(connection: Connection) -> None:
    sit(connection, Q1=True, Q2=True)
    before = update(connection)
    publish(
        connection, parameters({"Q1": CALIBRATED["Q4"]}), prior=Prior(-1.0, 0.5), version="v2", fitted_at=NOW
    )
    after = update(connection)
    assert (before.version, after.version) == ("v1", "v2")
    assert theta(after) < theta(before)
    assert [row[1] for row in abilities(connection)] == ["v1", "v2"]
    assert {row[6] for row in topics(connection)} == {"v2"}


def test_a_fit_that_is_not_in_force_does_not_count(connection: Connection) -> None:
    sit(connection, Q1=True)
    before = update(connection)
    publish(connection, prior=Prior(5.0, 0.1), version="v1", fitted_at=NOW, in_force=False)
    assert update(connection) == before


def test_the_newest_answer_decides_which_theta_is_the_latest(connection: Connection) -> None:
    latest = sa.text("SELECT source, as_of FROM mirt_ability_latest")
    calibrated = sa.text(
        "INSERT INTO mirt_ability (user_id, version, source, as_of, theta, model, fitted_at)"
        " SELECT user_id, version, 'calibration', as_of, 0.1, model, :fitted_at FROM mirt_ability_latest"
    )
    sit(connection, completed_at=NOW - 2 * DAY, Q1=True)
    update(connection)
    tonight = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    connection.execute(calibrated, {"fitted_at": tonight})
    assert connection.execute(latest).one() == ("calibration", NOW - 2 * DAY)
    sit(connection, completed_at=NOW - DAY, Q2=True)
    update(connection)
    assert connection.execute(latest).one() == ("online", NOW - DAY)


def test_the_runbooks_queries_show_the_update(connection: Connection, shared: Path) -> None:
    sit(connection, Q1=True, Q2=False)
    sit(connection, "bob", Q1=False)
    told = update_thetas(connection, ["ann", "bob"], settings=SETTINGS, lookback_days=30, now=NOW)
    found = {
        path.stem: connection.execute(sa.text(path.read_text(encoding="utf-8"))).mappings().all()
        for path in (shared / "acceptance").glob("mirt_ability*.sql")
    }
    thetas = {update.user_id: update.theta for update in told}
    assert {row["user_id"]: row["theta"] for row in found["mirt_ability"]} == thetas
    assert {row["user_id"]: row["theta"] for row in found["mirt_ability_last_hour"]} == thetas
    assert found["mirt_ability_summary"][0]["user_count"] == 2
    assert [(row["updates"], row["unique_users"]) for row in found["mirt_ability_updates_per_day"]] == [
        (2, 2)
    ]


# -- when there is nothing to write --------------------------------------------------------------------


def test_without_a_fit_there_is_no_theta(engine: Engine) -> None:
    with engine.connect() as connection:
        sit(connection, Q1=True)
        assert update(connection) == ThetaUpdate("ann", "noop", reason=NoopReason.NO_FIT)


@pytest.mark.parametrize("user_id", ["nobody", "", "ann' OR true --", "%s %(user_ids)s :since"])
def test_a_learner_without_attempts_has_none(connection: Connection, user_id: str) -> None:
    sit(connection, Q1=True)
    assert update(connection, user_id) == ThetaUpdate(user_id, "noop", reason=NoopReason.NO_ATTEMPTS)
    assert abilities(connection) == []


def test_answers_to_items_that_are_not_calibrated_give_none(connection: Connection) -> None:
    sit(connection, completed_at=NOW - DAY, new1=True)
    sit(connection, completed_at=NOW - 40 * DAY, Q1=True)
    assert update(connection).reason is NoopReason.NOT_CALIBRATED
    assert (abilities(connection), topics(connection)) == ([], [])


def test_a_failed_result_is_no_attempt(connection: Connection) -> None:
    sit(connection, Q1=True)
    connection.execute(sa.text("UPDATE exam_results SET status = 'failed'"))
    assert update(connection).reason is NoopReason.NO_ATTEMPTS


@pytest.mark.parametrize(
    "params",
    ['{"a": "NaN"}', '{"a": null}', '{"a": 0}', '{"a": 1e300}', '{"b": "hard"}', '{"b": -1e16}', '{"c": 1}'],
)
def test_parameters_that_nothing_can_be_scored_by_are_named(connection: Connection, params: str) -> None:
    sit(connection, Q1=True, Q2=True)
    sit(connection, "bob", Q2=True)
    connection.execute(
        sa.text("UPDATE mirt_item_params SET params = params || CAST(:params AS jsonb) WHERE item_id = 'Q1'"),
        {"params": params},
    )
    connection.commit()
    with pytest.raises(DataError, match=r"^Item 'Q1' cannot be scored: mirt_item_params holds a="):
        update(connection)
    connection.rollback()
    assert abilities(connection) == []
    assert update(connection, "bob").status == "ok"
