"""The operators' checks: what is healthy, and each way of not being so."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db.schema import FeaturesTopicDaily, MirtAbility, MirtFitMeta, MirtItemParams, WeeklyKpi
from seedtest.verify import Expectations, Measured, judge, measure
from tests.db.exam_results import add_questions, add_results, result

NOW = dt.datetime(2026, 11, 2, 5, tzinfo=dt.UTC)
SUNDAY = dt.date(2026, 11, 1)
HEALTHY = Measured(
    feature_days=7,
    answers=1000,
    anchors=8,
    items=150,
    users=500,
    fitted_at=NOW - dt.timedelta(hours=2),
    converged=True,
    version="v1",
    features=700,
    newest_feature=SUNDAY,
    newest_answer=SUNDAY,
    active_users=480,
    users_without_kpis=0,
)


def failures(expected: Expectations | None = None, **measured: Any) -> dict[str, str]:
    """The details of the checks that fail, by name."""
    checks = judge(replace(HEALTHY, **measured), expected or Expectations(), NOW)
    return {check.name: check.detail for check in checks if not check.ok}


def test_a_healthy_database_passes_every_check() -> None:
    checks = judge(HEALTHY, Expectations(), NOW)
    assert all(check.ok for check in checks)
    assert all(check.detail and check.resolution for check in checks)
    assert len({check.name for check in checks}) == len(checks) == 9


@pytest.mark.parametrize(
    ("measured", "name", "detail"),
    [
        ({"answers": 0}, "answers", "0 answers of the last 7 days; 1 expected"),
        ({"anchors": 1}, "anchors", "1 anchors with parameters; 2 expected"),
        ({"items": 9}, "items", "9 calibrated items; 10 expected"),
        ({"users": 9}, "users", "9 learners with an ability; 10 expected"),
        ({"fitted_at": None}, "calibration fresh", "never fitted"),
        ({"fitted_at": NOW - dt.timedelta(hours=27)}, "calibration fresh", "fitted 27.0 h ago; 26 h allowed"),
        ({"converged": False}, "calibration converged", "converged: False, scale v1"),
        ({"converged": None, "version": None}, "calibration converged", "converged: None, scale None"),
        ({"features": 0}, "features", "0 feature rows of the last 7 days; 1 expected"),
        (
            {"newest_feature": dt.date(2026, 10, 31)},
            "features fresh",
            "newest feature 2026-10-31, newest answer in a topic 2026-11-01",
        ),
        ({"users_without_kpis": 1}, "KPIs", "1 of 480 active learners without KPIs this week"),
    ],
)
def test_each_unhealthy_value_fails_its_own_check(measured: dict[str, Any], name: str, detail: str) -> None:
    assert failures(**measured) == {name: detail}


def test_the_minimums_are_the_operators() -> None:
    expected = Expectations(min_answers=1001, min_items=151, min_users=501, min_anchors=9, max_age_hours=1.5)
    assert set(failures(expected)) == {"answers", "anchors", "items", "users", "calibration fresh"}
    assert failures(Expectations(max_age_hours=2.0)) == {}


def test_days_without_answers_in_a_topic_need_no_features() -> None:
    assert failures(features=0, newest_feature=None, newest_answer=None) == {}


def test_features_of_answers_that_are_gone_are_not_fresh() -> None:
    assert set(failures(newest_answer=None)) == {"features fresh"}


def test_nobody_active_needs_no_kpis() -> None:
    assert failures(Expectations(min_answers=0), answers=0, active_users=0) == {}


# -- measuring -------------------------------------------------------------------------------------


def noon(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(12), dt.UTC)


def before(days: int) -> dt.date:
    return SUNDAY - dt.timedelta(days=days)


def add_sources(connection: Connection) -> None:
    anchor = {"tags": ["anchor"], "irt": {"a": 1, "b": 0}}
    unusable = ({"a": 0, "b": 0}, {"a": -1, "b": 0}, {"a": 1, "b": None}, {"a": "much", "b": 0}, [1, 0])
    metas = (
        anchor,
        {"tags": ["easy", "anchor"], "irt": {"a": "1.5", "b": "-0.5"}},
        {"tags": ["anchor"]},
        {"irt": {"a": 1, "b": 0}},
        {"tags": "anchor"},
        None,
        *({"tags": ["anchor"], "irt": irt} for irt in unusable),
    )
    add_questions(connection, *({"id": f"Q{n}", "meta": meta} for n, meta in enumerate(metas)))
    add_results(
        connection,
        *(
            result({"question_id": "Q0", "topic": topic}, user_id=user_id, completed_at=noon(before(days)))
            for user_id, days, topic in (
                ("tomorrow's", -1, "algebra"),
                ("ann", 0, None),
                ("ann", 1, "algebra"),
                ("bob", 6, "algebra"),
                ("chan", 7, "algebra"),
                ("dora", 55, None),
                ("long gone", 56, None),
            )
        ),
    )


def add_outcomes(connection: Connection) -> None:
    stamps = {"model": "2PL", "version": "v2"}
    connection.execute(sa.insert(MirtItemParams).values(item_id="Q0", params={}, **stamps))
    abilities = (
        ("ann", "v2", "calibration"),
        ("ann", "v2", "online"),
        ("ann", "v1", "online"),
        ("on the last scale", "v1", "calibration"),
    )
    for user_id, version, source in abilities:
        connection.execute(
            sa.insert(MirtAbility).values(
                user_id=user_id, version=version, source=source, theta=0.0, as_of=NOW, model="2PL"
            )
        )
    fits: tuple[tuple[int, dict[str, Any], bool], ...] = (
        (1, {"version": "v3", "in_force": False}, True),
        (2, {"version": "v2", "in_force": True}, False),
        (3, {"version": "v1", "in_force": False}, True),
        (50, {"version": "v1"}, True),
    )
    for hours, model_spec, converged in fits:
        connection.execute(
            sa.insert(MirtFitMeta).values(
                run_id=f"fit-{hours}",
                fitted_at=NOW - dt.timedelta(hours=hours),
                model_spec=model_spec,
                metrics={"converged": converged},
            )
        )
    for days in (-1, 1, 6, 7):
        connection.execute(
            sa.insert(FeaturesTopicDaily).values(
                user_id="ann", topic_id="algebra", date=before(days), attempts=1, correct=1, hints=0,
                last_seen_at=noon(before(days)),
            )
        )  # fmt: skip
    # Of four active learners two have a row of this week; others' rows and weeks make up for nothing.
    rows = (("ann", 6), ("dora", 6), ("ann", 13), ("bob", 13), ("chan", -1), ("long gone", 6), ("deleted", 6))
    for user_id, days in rows:
        connection.execute(sa.insert(WeeklyKpi).values(user_id=user_id, week_start=before(days), kpis={}))


def test_what_is_measured_is_of_the_days_up_to_the_date(engine: Engine) -> None:
    with engine.begin() as connection:
        add_sources(connection)
        add_outcomes(connection)
        assert measure(connection, SUNDAY) == Measured(
            feature_days=7,
            answers=3,
            anchors=2,
            items=1,
            users=1,
            fitted_at=NOW - dt.timedelta(hours=2),
            converged=False,
            version="v2",
            features=2,
            newest_feature=before(1),
            newest_answer=before(1),
            active_users=4,
            users_without_kpis=2,
        )


def test_an_empty_database_is_measured_too_and_fails_what_it_should(engine: Engine) -> None:
    with engine.connect() as connection:
        checks = judge(measure(connection, SUNDAY), Expectations(), NOW)
    failed = {check.name for check in checks if not check.ok}
    assert failed == {"answers", "anchors", "items", "users", "calibration fresh", "calibration converged"}


def test_a_fit_from_before_fits_could_be_out_of_force_is_in_force(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.insert(MirtFitMeta).values(
                run_id="fit-1", fitted_at=NOW, model_spec={"version": "v1"}, metrics={"converged": True}
            )
        )
        measured = measure(connection, SUNDAY)
    assert (measured.version, measured.converged, measured.fitted_at) == ("v1", True, NOW)
