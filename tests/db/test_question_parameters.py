"""Parameters in question.meta: read as anchors and starting values, written only where they may be."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db.calibrations import load_seeds
from seedtest.db.fits import write_question_parameters
from seedtest.db.schema import Question
from tests.db.exam_results import add_questions
from tests.fits import calibration

# -- seeds -----------------------------------------------------------------------------------------


def test_tagged_questions_are_anchors_and_other_parameters_starting_values(engine: Engine) -> None:
    irt = {"a": 1.5, "b": -0.25, "c": None, "model": "2PL", "version": "v1"}
    with engine.begin() as connection:
        add_questions(
            connection,
            {"id": "A2", "meta": {"irt": irt | {"c": 0.2}, "tags": ["algebra", "anchor"]}},
            {"id": "A1", "meta": {"irt": irt, "tags": ["anchor"]}},
            {"id": "S1", "meta": {"irt": irt | {"b": 1}}},
            {"id": "S2", "meta": {"irt": irt, "tags": ["Anchor", "no anchor"]}},
            {"id": "S3", "meta": {"irt": irt, "tags": "anchor"}},
            {"id": "no parameters", "meta": {"tags": ["anchor"]}},
        )
        seeds = load_seeds(connection)
    assert seeds.anchors.item_ids == ("A1", "A2")
    assert seeds.anchors.c.tolist() == [0.0, 0.2]
    assert seeds.starts.item_ids == ("S1", "S2", "S3")
    assert seeds.starts.b.tolist() == [1.0, -0.25, -0.25]
    assert len(seeds) == 5


def test_no_content_of_question_meta_breaks_the_seeds(engine: Engine) -> None:
    useless = (
        *(None, "null", "[]", "3", '"anchor"', "{}", '{"irt": null}', '{"irt": [1, 2]}', '{"irt": "a=1"}'),
        *(
            '{"irt": {"a": 1}}',
            '{"irt": {"b": 1}}',
            '{"irt": {"a": "one", "b": 0}}',
            '{"irt": {"a": -1, "b": 0}}',
            '{"irt": {"a": [], "b": 0}}',
        ),
        *(
            '{"irt": {"a": 1e400, "b": 0}}',
            '{"irt": {"a": 1, "b": -1e131000}}',
            '{"irt": {"a": 1e-400, "b": 0}}',
        ),
    )
    useful = (
        '{"irt": {"a": 1, "b": 0, "c": "?", "n": 1e300, "se_a": 1e-16000}, "tags": null}',
        '{"irt": {"a": 1, "b": 0.0, "n": -1e9}, "tags": [["anchor"], {"anchor": 1}]}',
        '{"irt": {"a": "1.25", "b": "-0.5e0"}}',
    )
    with engine.begin() as connection:
        for n, meta in enumerate([*useless, *useful]):
            connection.execute(
                sa.text("INSERT INTO question (id, content, meta) VALUES (:id, '', CAST(:meta AS jsonb))"),
                {"id": f"{n:02}", "meta": meta},
            )
        seeds = load_seeds(connection)
    assert seeds.anchors.item_ids == ()
    assert seeds.starts.item_ids == ("17", "18", "19")
    assert seeds.starts.b.tolist() == [0.0, 0.0, -0.5]
    assert set(seeds.unusable) == {f"{n:02}" for n in range(9, 17)}


# -- question.meta ---------------------------------------------------------------------------------


def metas_of(connection: Connection) -> dict[str, Any]:
    return {row.id: row.meta for row in connection.execute(sa.select(Question.id, Question.meta))}


def test_questions_get_the_parameters_and_keep_everything_else(engine: Engine) -> None:
    fit = calibration({"Q1": 0.1, "Q2": -1.0, "Q3": 2.0, "unknown": 0.0})
    entry = {"a": 1.2, "c": 0.0, "model": "2PL", "version": "v3"}
    with engine.begin() as connection:
        add_questions(
            connection,
            {"id": "Q1", "meta": {"tags": ["algebra"], "irt": {"a": 9, "old": True}}},
            {"id": "Q2", "meta": {}},
            {"id": "Q3", "meta": sa.null()},
            {"id": "Q4", "meta": {"irt": {"a": 1}}},
        )
        assert write_question_parameters(connection, fit, "v3") == 3
        assert metas_of(connection) == {
            "Q1": {"tags": ["algebra"], "irt": entry | {"b": 0.1}},
            "Q2": {"irt": entry | {"b": -1.0}},
            "Q3": {"irt": entry | {"b": 2.0}},
            "Q4": {"irt": {"a": 1}},
        }
        assert write_question_parameters(connection, fit, "v3") == 0


def test_an_anchor_and_a_meta_that_is_no_object_are_never_overwritten(engine: Engine) -> None:
    untouched: dict[str, Any] = {
        "A1": {"tags": ["anchor"], "irt": {"a": 1, "b": 0}},
        "A2": {"tags": ["x", "anchor"]},
        "odd": ["a", "list"],
        "text": "a text",
    }
    with engine.begin() as connection:
        add_questions(connection, *({"id": item_id, "meta": meta} for item_id, meta in untouched.items()))
        # What SQLAlchemy stores for None: JSON's null, not SQL's.
        add_questions(connection, {"id": "null", "meta": sa.JSON.NULL})
        fit = calibration(dict.fromkeys([*untouched, "null"], 0.5))
        assert write_question_parameters(connection, fit, "v1") == 1
        metas = metas_of(connection)
    assert metas.pop("null")["irt"]["b"] == 0.5
    assert metas == untouched
