"""Fits in the database: what a new one writes, keeps, drops and never touches."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError

from seedtest.db.calibrations import load_abilities, load_fit, load_goals
from seedtest.db.fits import FitRecord, Reach, new_run_id, write_fit
from seedtest.db.frames import UTC_TIME, Written
from seedtest.db.schema import InterestGoal, MirtAbility, MirtFitMeta, MirtItemParams
from seedtest.evidence import ABILITIES, GOALS
from seedtest.irt import MODELS, Calibration, Exclusion, ExclusionKind, ItemParameters, Prior
from tests.fits import calibration, items_at

FITTED_AT = dt.datetime(2026, 11, 2, 3, 0, 1, tzinfo=dt.UTC)
AS_OF = dt.datetime(2026, 11, 1, 20, 15, 0, 123_456, dt.UTC)
DAY = dt.timedelta(days=1)
ITEMS = {"Q1": -1.25, "it's": 0.1, "찬호": 1 / 3}
ABILITY = {"ann": 0.5, "bob": -0.1}


def record(fitted_at: dt.datetime = FITTED_AT, version: str = "v1", **spec: Any) -> FitRecord:
    model_spec = {"theta_mean": 0.2, "theta_sd": 0.9, "version": version, "on_anchors": True} | spec
    return FitRecord(new_run_id(fitted_at), version, fitted_at, model_spec, {"converged": True, "aic": 1.5})


def write(
    connection: Connection,
    fit: Calibration,
    record: FitRecord,
    as_of: Mapping[str, dt.datetime],
    topics: Mapping[tuple[str, str], float] | None = None,
    reach: Reach | None = None,
) -> dict[str, Written]:
    newest = pl.DataFrame(
        {"user_id": list(as_of), "as_of": list(as_of.values())},
        schema={"user_id": pl.String, "as_of": UTC_TIME},
    )
    rows = [
        {"user_id": user_id, "topic_id": topic_id, "theta": theta, "se": 0.5, "n": 4, "as_of": AS_OF}
        for (user_id, topic_id), theta in (topics or {}).items()
    ]
    kinds = {
        "user_id": pl.String,
        "topic_id": pl.String,
        "theta": pl.Float64,
        "se": pl.Float64,
        "n": pl.Int64,
    }
    return write_fit(
        connection,
        fit,
        record,
        reach or Reach(in_force=True, items=fit.items, abilities=True, since=AS_OF, until=AS_OF),
        ability_as_of=newest,
        topic_abilities=pl.DataFrame(rows, schema=kinds | {"as_of": UTC_TIME}),
        min_responses=5,
    )


def write_first(connection: Connection, **changes: Any) -> dict[str, Written]:
    fit = replace(calibration(ITEMS, ABILITY), **changes)
    return write(connection, fit, record(), {"ann": AS_OF, "bob": AS_OF - DAY}, {("ann", "algebra"): 0.7})


def table(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(sa.text(query))]


def reach(fit: Calibration, **changes: Any) -> Reach:
    """All that a fit on the answers of the last 30 days may touch."""
    until = AS_OF + DAY
    whole = Reach(in_force=True, items=fit.items, abilities=True, since=until - 31 * DAY, until=until)
    return replace(whole, **changes)


# -- writing a fit ---------------------------------------------------------------------------------


def test_a_fit_fills_every_table_of_the_contract(engine: Engine) -> None:
    with engine.begin() as connection:
        written = write_first(connection)
        assert written == {
            "mirt_item_params": Written(inserted=3),
            "mirt_item_params_history": Written(inserted=3),
            "mirt_ability": Written(inserted=2),
            "student_topic_theta": Written(inserted=1),
        }
        stamps = ("2PL", "v1", FITTED_AT)
        params = {"a": 1.2, "c": 0, "se_a": 0.1, "se_b": 0.2, "se_c": None, "n": 40}
        items = [(item_id, params | {"b": b}, *stamps) for item_id, b in ITEMS.items()]
        columns = "item_id, params, model, version, fitted_at"
        assert table(connection, f"SELECT {columns} FROM mirt_item_params ORDER BY params -> 'b'") == items
        history = f"SELECT {columns} FROM mirt_item_params_history ORDER BY params -> 'b'"
        assert table(connection, history) == items
        columns = "user_id, theta, se, source, as_of, model, version, fitted_at"
        assert table(connection, f"SELECT {columns} FROM mirt_ability ORDER BY user_id") == [
            ("ann", 0.5, 0.4, "calibration", AS_OF, *stamps),
            ("bob", -0.1, 0.4, "calibration", AS_OF - DAY, *stamps),
        ]
        columns = "user_id, topic_id, theta, se, n, as_of, model, version, fitted_at"
        assert table(connection, f"SELECT {columns} FROM student_topic_theta") == [
            ("ann", "algebra", 0.7, 0.5, 4, AS_OF, *stamps)
        ]
        assert table(connection, "SELECT run_id, metrics, fitted_at FROM mirt_fit_meta") == [
            ("fit-2026-11-02T03:00:01Z", {"converged": True, "aic": 1.5}, FITTED_AT)
        ]


def test_what_is_unknown_is_null_and_never_not_a_number(engine: Engine) -> None:
    fit = calibration(ITEMS, ABILITY)
    unknown = replace(fit.items, se_a=np.full(3, np.nan), se_b=np.full(3, np.nan))
    abilities = replace(fit.abilities, se=np.array([np.nan, 0.4]))
    with engine.begin() as connection:
        write_first(connection, items=unknown, abilities=abilities)
        kinds = "SELECT DISTINCT jsonb_typeof(params -> 'se_a') FROM mirt_item_params"
        assert table(connection, kinds) == [("null",)]
        assert table(connection, "SELECT se FROM mirt_ability ORDER BY user_id") == [(None,), (0.4,)]


def test_a_fit_that_fails_half_way_leaves_nothing(engine: Engine) -> None:
    fit = calibration(ITEMS, ABILITY)
    theta_missing = replace(fit.abilities, theta=np.array([0.5, np.nan]))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        write_first(connection, abilities=theta_missing)
    with engine.connect() as connection:
        for name in ("mirt_fit_meta", "mirt_item_params", "mirt_item_params_history", "mirt_ability"):
            assert table(connection, f"SELECT count(*) FROM {name}") == [(0,)]


def test_a_rerun_over_the_same_answers_replaces_abilities_and_new_answers_append(engine: Engine) -> None:
    later = calibration(ITEMS, {"ann": 0.75, "bob": 0.0})
    with engine.begin() as connection:
        write_first(connection)
        as_of = {"ann": AS_OF, "bob": AS_OF + DAY}
        written = write(connection, later, record(FITTED_AT + DAY), as_of)
        assert written["mirt_ability"] == Written(inserted=1, changed=1)
        rows = table(connection, "SELECT user_id, as_of, theta FROM mirt_ability ORDER BY user_id, as_of")
    assert rows == [("ann", AS_OF, 0.75), ("bob", AS_OF - DAY, -0.1), ("bob", AS_OF + DAY, 0.0)]


def test_every_run_stays_in_the_history_of_items(engine: Engine) -> None:
    with engine.begin() as connection:
        write_first(connection)
        write(connection, calibration({"Q1": 2.0}), record(FITTED_AT + DAY), {})
        history = "SELECT run_id, (params ->> 'b')::float FROM mirt_item_params_history WHERE item_id = 'Q1'"
        assert table(connection, f"{history} ORDER BY run_id") == [
            ("fit-2026-11-02T03:00:01Z", -1.25),
            ("fit-2026-11-03T03:00:01Z", 2.0),
        ]


def test_an_item_with_too_few_answers_keeps_its_parameters_and_a_rejected_one_loses_them(
    engine: Engine,
) -> None:
    exclusions = (
        Exclusion(ExclusionKind.ITEM, "it's", "fewer than 5 answers", 4),
        Exclusion(ExclusionKind.ITEM, "찬호", "discrimination is negative", 40),
        Exclusion(ExclusionKind.USER, "Q1", "no answer to a calibrated item", 9),
    )
    with engine.begin() as connection:
        write_first(connection)
        write(connection, calibration({"Q1": 0.0}, exclusions=exclusions), record(FITTED_AT + DAY), {})
        kept = table(connection, "SELECT item_id, fitted_at FROM mirt_item_params ORDER BY fitted_at")
        assert kept == [("it's", FITTED_AT), ("Q1", FITTED_AT + DAY)]
        assert table(connection, "SELECT count(*) FROM mirt_item_params_history") == [(4,)]


def test_a_new_version_supersedes_what_is_on_the_old_scale_but_not_its_history(engine: Engine) -> None:
    with engine.begin() as connection:
        write_first(connection)
        fit = calibration({"Q1": 0.0}, {"ann": 0.9})
        topics = {("bob", "algebra"): 0.1}
        write(connection, fit, record(FITTED_AT + DAY, "v2"), {"ann": AS_OF}, topics)
        assert table(connection, "SELECT item_id, version FROM mirt_item_params") == [("Q1", "v2")]
        assert table(connection, "SELECT user_id, version FROM student_topic_theta") == [("bob", "v2")]
        abilities = "SELECT user_id, version, theta FROM mirt_ability ORDER BY user_id, version"
        assert table(connection, abilities) == [("ann", "v1", 0.5), ("ann", "v2", 0.9), ("bob", "v1", -0.1)]


def test_the_latest_ability_is_that_of_the_newest_answers_then_of_the_newest_fit(engine: Engine) -> None:
    def ability(theta: float, as_of_days: int, fitted_days: int, **key: str) -> dict[str, Any]:
        as_of, fitted_at = AS_OF - as_of_days * DAY, FITTED_AT - fitted_days * DAY
        row = {"user_id": "ann", "source": "calibration", "version": "v1", "model": "2PL"} | key
        return row | {"theta": theta, "as_of": as_of, "fitted_at": fitted_at}

    with engine.begin() as connection:
        connection.execute(
            sa.insert(MirtAbility),
            [
                ability(1.0, 2, 0),
                ability(2.0, 0, 1, source="online"),
                ability(3.0, 0, 2),
                ability(4.0, 5, 0, user_id="bob"),
                ability(5.0, 4, 4, user_id="bob", version="v0"),
            ],
        )
        latest = table(connection, "SELECT user_id, theta FROM mirt_ability_latest ORDER BY user_id")
    assert latest == [("ann", 2.0), ("bob", 5.0)]


# -- the fit in force ------------------------------------------------------------------------------


def test_nothing_fitted_yet_is_the_standard_normal_without_items(engine: Engine) -> None:
    with engine.connect() as connection:
        fit = load_fit(connection)
    assert (len(fit.items), fit.prior, fit.version, fit.is_first) == (0, Prior(0.0, 1.0), "v1", True)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


UNKNOWN = st.just(float("nan"))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "item_id": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
            "a": numbers(1e-3, 1e3),
            "b": numbers(-1e4, 1e4),
            "c": st.just(0.0) | numbers(1e-9, 0.95),
            "se_a": UNKNOWN | numbers(1e-9, 1e6),
            "se_b": UNKNOWN | numbers(1e-9, 1e6),
            "se_c": UNKNOWN | numbers(1e-9, 1e6),
            "n": st.integers(0, 10**15),
            "model": st.sampled_from(MODELS),
        }
    ),
    unique_by=lambda row: str(row["item_id"]),
    max_size=20,
)
COLUMNS = ("a", "b", "c", "se_a", "se_b", "se_c", "n")


def fit_of(rows: list[dict[str, Any]]) -> Calibration:
    columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in COLUMNS[:-1]}
    n = np.array([row["n"] for row in rows], dtype=np.int64)
    items = ItemParameters(tuple(row["item_id"] for row in rows), **columns, n=n)
    return replace(calibration({}), items=items, item_models=tuple(row["model"] for row in rows))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, mean=numbers(-5, 5), sd=numbers(0.01, 10), version=st.sampled_from(["v1", "v12", "pilot"]))
def test_what_a_fit_writes_is_read_back_to_the_last_bit(
    engine: Engine, rows: list[dict[str, Any]], mean: float, sd: float, version: str
) -> None:
    fit = fit_of(rows)
    run = record(version=version, theta_mean=mean, theta_sd=sd, on_anchors=False, last_day="2026-11-01")
    with engine.connect() as connection:
        write(connection, fit, run, {})
        found = load_fit(connection)
        models = dict(table(connection, "SELECT item_id, model FROM mirt_item_params"))
    assert (found.run_id, found.version, found.prior) == (run.run_id, version, Prior(mean, sd))
    assert (found.on_anchors, found.last_day, found.unusable) == (False, dt.date(2026, 11, 1), ())
    assert list(found.items.item_ids) == sorted(fit.items.item_ids)
    order = fit.items.index_of(found.items.item_ids)
    for name in COLUMNS:
        expected = getattr(fit.items, name)[order]
        np.testing.assert_array_equal(getattr(found.items, name), expected, err_msg=name)
    assert models == {row["item_id"]: row["model"] for row in rows}


def test_the_history_says_the_same_of_a_fit_as_the_current_parameters(engine: Engine) -> None:
    rng = np.random.default_rng(5)
    fit = calibration({f"Q{n}": b for n, b in enumerate(rng.normal(size=40))})
    with engine.begin() as connection:
        write(connection, fit, record(), {})
        columns = "item_id, params, model, version, fitted_at"
        current = table(connection, f"SELECT {columns} FROM mirt_item_params ORDER BY 1")
        assert table(connection, f"SELECT {columns} FROM mirt_item_params_history ORDER BY 1") == current


def test_a_lower_asymptote_that_is_no_probability_makes_an_item_unusable(engine: Engine) -> None:
    with engine.begin() as connection:
        write_first(connection)
        for item_id, c in (("Q1", 1.0), ("it's", -0.1), ("찬호", 0.999)):
            query = (
                "UPDATE mirt_item_params SET params = jsonb_set(params, '{c}', to_jsonb(CAST(:c AS float8)))"
            )
            connection.execute(sa.text(f"{query} WHERE item_id = :item_id"), {"c": c, "item_id": item_id})
        fit = load_fit(connection)
    assert fit.unusable == ("Q1", "it's")
    assert fit.items.c.tolist() == [0.999]


def test_the_newest_fit_is_in_force_with_the_parameters_that_older_ones_left(engine: Engine) -> None:
    with engine.begin() as connection:
        write_first(connection)
        newest = record(FITTED_AT + DAY, theta_mean=0.5)
        write(connection, calibration({"Q1": 2.0}), newest, {})
        fit = load_fit(connection)
    assert (fit.run_id, fit.prior.mean) == (newest.run_id, 0.5)
    assert fit.items.b[fit.items.index_of(["Q1", "it's"])].tolist() == [2.0, 0.1]


def test_parameters_of_another_hand_are_read_as_far_as_they_go(engine: Engine) -> None:
    params = {"a": 1.5, "b": "-0.5", "c": None, "n": "many"}
    with engine.begin() as connection:
        write_first(connection)
        connection.execute(
            sa.insert(MirtItemParams).values(item_id="foreign", model="2PL", params=params, version="v1")
        )
        items = load_fit(connection).items
    at = items.index_of(["foreign"])[0]
    assert (items.a[at], items.c[at], items.n[at]) == (1.5, 0.0, 0)
    assert items.b[at] == -0.5


# -- abilities and goals ---------------------------------------------------------------------------


def test_abilities_are_those_of_answers_before_a_day(engine: Engine) -> None:
    midnight = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
    with engine.begin() as connection:
        write(connection, calibration(ITEMS, {"ann": 1.0}), record(), {"ann": midnight - DAY / 2})
        write(connection, calibration(ITEMS, {"ann": 2.0}), record(FITTED_AT + DAY), {"ann": midnight})
        found = load_abilities(connection, before=midnight.date())
        assert load_abilities(connection, before=dt.date(2026, 1, 1)).is_empty()
    assert found.schema == pl.Schema(ABILITIES)
    assert found["theta"].to_list() == [1.0]


def test_goals_are_those_that_name_a_level(engine: Engine) -> None:
    goals: list[dict[str, Any]] = [
        {"user_id": "ann", "topic_id": "b", "target_level": 0.5, "priority": 2},
        {"user_id": "ann", "topic_id": "a", "target_level": -1.0, "priority": None},
        {"user_id": "bob", "topic_id": "a", "target_level": None, "priority": 1},
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(InterestGoal), goals)
        found = load_goals(connection)
    assert found.schema == pl.Schema(GOALS)
    assert found.rows() == [("ann", "a", -1.0, None), ("ann", "b", 0.5, 2)]


def test_the_run_id_is_the_time_of_the_fit() -> None:
    assert new_run_id(dt.datetime(2025, 11, 2, 4, 15, 23, 999, dt.UTC)) == "fit-2025-11-02T04:15:23Z"


def test_deleting_a_fit_deletes_its_history_of_items(engine: Engine) -> None:
    with engine.begin() as connection:
        write_first(connection)
        connection.execute(sa.delete(MirtFitMeta))
        assert table(connection, "SELECT count(*) FROM mirt_item_params_history") == [(0,)]


# -- what a fit may touch --------------------------------------------------------------------------


def test_abilities_that_rest_on_deleted_answers_go(engine: Engine) -> None:
    fit = calibration(ITEMS, ABILITY)
    with engine.begin() as connection:
        write(connection, fit, record(), {"ann": AS_OF - 90 * DAY, "bob": AS_OF - 2 * DAY})
        write(connection, fit, record(FITTED_AT + DAY), {"ann": AS_OF, "bob": AS_OF}, {("bob", "algebra"): 1})
        # Ann's newest answer is gone, and all of Bob's.
        only_ann = calibration(ITEMS, {"ann": 0.4})
        as_of = {"ann": AS_OF - DAY}
        written = write(connection, only_ann, record(FITTED_AT + 2 * DAY), as_of, reach=reach(only_ann))
        kept = "SELECT user_id, as_of FROM mirt_ability ORDER BY 1, 2"
        assert table(connection, kept) == [("ann", AS_OF - 90 * DAY), ("ann", AS_OF - DAY)]
        assert table(connection, "SELECT * FROM student_topic_theta") == []
    assert written["mirt_ability"] == Written(inserted=1, deleted=3)
    assert written["student_topic_theta"] == Written(deleted=1)


def test_online_abilities_and_other_scales_stay(engine: Engine) -> None:
    fit = calibration(ITEMS, ABILITY)
    with engine.begin() as connection:
        write(connection, fit, record(version="v0"), {"ann": AS_OF, "bob": AS_OF})
        connection.execute(sa.text("UPDATE mirt_ability SET source = 'online' WHERE user_id = 'ann'"))
        nobody = calibration(ITEMS, {})
        write(connection, nobody, record(FITTED_AT + DAY), {}, reach=reach(nobody))
        assert len(table(connection, "SELECT * FROM mirt_ability")) == 2


def test_a_fit_that_is_not_in_force_leaves_the_current_state_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        write_first(connection)
        before = load_fit(connection)
        partial = calibration({"Q1": 2.0, "new": 0.5}, {"ann": 3.0})
        later = record(FITTED_AT + DAY, theta_mean=9)
        apart = reach(partial, in_force=False, abilities=False, items=items_at({"new": 0.5}))
        written = write(connection, partial, later, {"ann": AS_OF}, reach=apart)
        after = load_fit(connection)
        newest = table(connection, "SELECT theta FROM mirt_ability WHERE user_id = 'ann'")
    assert set(written) == {"mirt_item_params", "mirt_item_params_history"}
    assert (after.run_id, after.prior) == (before.run_id, before.prior)
    assert set(after.items.item_ids) == {*before.items.item_ids, "new"}
    assert newest == [(ABILITY["ann"],)]


def test_parameters_that_no_answer_can_be_scored_by_are_left_out_and_named(engine: Engine) -> None:
    with engine.begin() as connection:
        write_first(connection)
        connection.execute(
            sa.text("UPDATE mirt_item_params SET params = params || '{\"a\": \"high\"}' WHERE item_id = 'Q1'")
        )
        fit = load_fit(connection)
    assert fit.unusable == ("Q1",)
    assert set(fit.items.item_ids) == set(ITEMS) - {"Q1"}
