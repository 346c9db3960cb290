"""What an operator chooses of a calibration, model and linking, and what its report says of the answers."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.calibration_report import doubts, facts, item_table, linking_table
from seedtest.db.calibrations import load_fit
from seedtest.irt import ItemParameters, Prior
from tests.calibrating import FITTED_AT, add_cohort, load, plan, run, scalars
from tests.db.exam_results import add_questions, add_results, result
from tests.simulated import ITEM_IDS, N_ANCHORS, N_ITEMS, THETA_MEAN, THETA_SD, B, anchor_metas


@pytest.fixture
def answered(engine: Engine) -> Engine:
    """The cohort's answers, and six anchors among its items."""
    add_cohort(engine)
    return engine


# -- models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["Rasch", "1PL", "3PL"])
def test_the_tables_name_the_model_that_was_fitted(answered: Engine, model: str) -> None:
    outcome, _ = run(answered, plan(mirt_model=model))
    with answered.connect() as connection:
        for name in ("mirt_item_params", "mirt_item_params_history", "mirt_ability", "student_topic_theta"):
            assert scalars(connection, f"SELECT DISTINCT model FROM {name}") == [model]
        [spec] = scalars(connection, "SELECT model_spec FROM mirt_fit_meta")
        in_force = load_fit(connection)
    assert spec["model"] == model
    items = outcome.published.calibration.items
    for name in ("a", "b", "c", "se_a", "se_b", "se_c", "n"):
        np.testing.assert_array_equal(getattr(in_force.items, name), getattr(items, name), err_msg=name)


def eap(items: ItemParameters, prior: Prior, item_ids: Sequence[str], correct: Sequence[bool]) -> float:
    """EAP on a grid, by the formula."""
    theta = np.linspace(prior.mean - 6 * prior.sd, prior.mean + 6 * prior.sd, 401)
    at = items.index_of(list(item_ids))
    c = items.c[at][:, None]
    p = c + (1 - c) / (1 + np.exp(-items.a[at][:, None] * (theta - items.b[at][:, None])))
    right = np.array(correct)[:, None]
    weights = np.where(right, p, 1 - p).prod(axis=0) * np.exp(-(((theta - prior.mean) / prior.sd) ** 2) / 2)
    return float((weights * theta).sum() / weights.sum())


def test_every_ability_of_a_3pl_reckons_with_guessing(answered: Engine) -> None:
    outcome, _ = run(answered, plan(mirt_model="3PL"))
    counted, topics = outcome.answers.counted, {"topic0": 0, "topic1": 1}
    with answered.connect() as connection:
        fit = load_fit(connection)
        theta = scalars(connection, "SELECT theta FROM mirt_ability WHERE user_id = 'u007'")
        by_topic = scalars(
            connection, "SELECT theta FROM student_topic_theta WHERE user_id = 'u007' ORDER BY topic_id"
        )
        kinds = scalars(connection, "SELECT DISTINCT jsonb_typeof(params -> 'se_c') FROM mirt_item_params")
    assert kinds == ["number"]
    assert (fit.items.c > 0).all()
    own = counted.filter((pl.col("user_id") == "u007") & pl.col("item_id").is_in(ITEM_IDS)).sort("item_id")
    ids, right = own["item_id"].to_list(), own["correct"].to_list()
    assert theta == [pytest.approx(eap(fit.items, fit.prior, ids, right), abs=1e-4)]
    expected = [eap(fit.items, fit.prior, ids[n::2], right[n::2]) for n in topics.values()]
    assert by_topic == pytest.approx(expected, abs=1e-4)


def test_parameters_written_to_questions_name_the_items_own_model(answered: Engine) -> None:
    with answered.begin() as connection:
        add_questions(connection, {"id": "Q01", "meta": {}})
    run(answered, plan(mirt_model="Rasch", irt_update_question_meta=True))
    with answered.connect() as connection:
        assert scalars(connection, "SELECT meta #>> '{irt,model}' FROM question WHERE id = 'Q01'") == [
            "Rasch"
        ]


# -- anchors held ----------------------------------------------------------------------------------


def test_held_anchors_are_a_scale_without_constants_and_no_error(answered: Engine) -> None:
    run(answered, plan())
    outcome, _ = run(answered, plan(mirt_linking="fixed"), FITTED_AT + dt.timedelta(days=1))
    with answered.connect() as connection:
        [spec] = scalars(connection, "SELECT model_spec FROM mirt_fit_meta ORDER BY fitted_at DESC LIMIT 1")
        in_force = load_fit(connection)
    expected = {
        "linking_constants": None,
        "linking_method": "fixed",
        "version": "v1",
        "scale": "anchors",
        "on_anchors": True,
        "reason": None,
        "n_anchors": N_ANCHORS,
    }
    assert {key: spec[key] for key in expected} == expected
    assert outcome.constants_text == "{}"
    np.testing.assert_array_equal(in_force.items.b[::3], B[::3])
    assert in_force.prior.mean == pytest.approx(THETA_MEAN, abs=0.25)
    assert in_force.prior.sd == pytest.approx(THETA_SD, abs=0.25)
    assert doubts(outcome) == []


def test_a_rerun_with_held_anchors_changes_nothing(answered: Engine) -> None:
    run(answered, plan(mirt_linking="fixed"))
    query = "SELECT (to_jsonb(t) - 'fitted_at')::text FROM {} AS t ORDER BY 1"
    tables = ("mirt_item_params", "mirt_ability", "student_topic_theta")
    with answered.connect() as connection:
        before = [scalars(connection, query.format(name)) for name in tables]
    run(answered, plan(mirt_linking="fixed"), FITTED_AT + dt.timedelta(days=1))
    with answered.connect() as connection:
        assert [scalars(connection, query.format(name)) for name in tables] == before


def test_the_anchors_table_shows_the_free_fit_that_checked_the_held_ones(answered: Engine) -> None:
    outcome, _ = run(answered, plan(mirt_linking="fixed"))
    table = linking_table(outcome)
    assert table["item_id"].to_list() == [meta["id"] for meta in anchor_metas()]
    assert table["kept"].all()
    displaced = np.abs(table["displacement"].to_numpy())
    assert 0 < displaced.max() < 0.5
    np.testing.assert_allclose(table["displacement"], table["b_now"] - table["b_reference"])
    assert (table["error"] > 0).all()


def test_anchors_with_guessing_in_a_2pl_are_doubted_where_difficulties_are_compared(answered: Engine) -> None:
    with answered.begin() as connection:
        connection.execute(
            sa.text("UPDATE question SET meta = jsonb_set(meta, '{irt,c}', '0.15') WHERE id = 'Q00'")
        )
    compared, _ = run(answered, plan())
    [doubt] = doubts(compared)
    assert "1 items that carried the linking, such as Q00, have a lower asymptote" in doubt
    held, _ = run(answered, plan(mirt_linking="fixed"), FITTED_AT + dt.timedelta(days=1))
    assert doubts(held) == []
    with answered.connect() as connection:
        models = scalars(connection, "SELECT model FROM mirt_item_params ORDER BY item_id")
        c = scalars(connection, "SELECT (params ->> 'c')::float FROM mirt_item_params ORDER BY item_id")
    assert (models[0], c[0]) == ("3PL", 0.15)
    assert set(models[1:]) == {"2PL"}


# -- parts that nothing connects -------------------------------------------------------------------


def island() -> list[dict[str, Any]]:
    """Forty learners who answered five items that nobody else did."""
    rng = np.random.default_rng(17)
    return [
        result(
            *(
                {"question_id": f"X{n}", "is_correct": bool(right)}
                for n, right in enumerate(rng.random(5) < 0.6)
            ),
            user_id=f"x{user:02}",
            exam_id=1,
        )
        for user in range(40)
    ]


def test_items_that_no_learner_connects_are_reported_by_number_size_and_name(
    answered: Engine, core_log: list[str]
) -> None:
    with answered.begin() as connection:
        add_results(connection, *island())
    outcome, _ = run(answered, plan())
    # The item that everybody gets right is a part of the sixteen's.
    assert [len(part.item_ids) for part in outcome.answers.connectivity.components] == [N_ITEMS + 1, 5]
    assert facts(outcome)["parts without a common learner"] == "2 parts, of 17, 5 items"
    parts = dict(item_table(outcome).select("item_id", "part").rows())
    assert {item_id for item_id, part in parts.items() if part == 2} <= {f"X{n}" for n in range(5)}
    assert {parts[item_id] for item_id in ITEM_IDS} == {1}
    with answered.connect() as connection:
        [spec] = scalars(connection, "SELECT model_spec FROM mirt_fit_meta")
    assert spec["n_parts"] == 2
    # The flow tells, before the fit; the engine does not tell again.
    assert not any("common learner" in line for line in core_log)


def test_an_item_with_too_few_answers_is_no_part_of_its_own(answered: Engine) -> None:
    with answered.begin() as connection:
        add_results(
            connection, result({"question_id": "new", "is_correct": True}, user_id="newcomer", exam_id=1)
        )
    assert load(answered, plan()).connectivity.is_connected
