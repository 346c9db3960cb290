"""A calibration from answers in the database to the tables, on a small simulated cohort."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.calibration import fit_and_publish
from seedtest.calibration_report import exclusion_table, facts, item_table, linking_table
from seedtest.db.calibrations import load_fit
from seedtest.db.fits import new_run_id
from seedtest.db.frames import Written
from seedtest.db.schema import Question
from seedtest.engine import EmbeddedEngine
from seedtest.scale import Scale
from seedtest.windows import ANSWER_ORDER
from tests.calibrating import FITTED_AT, TODAY, add_cohort, load, plan, run, scalars
from tests.db.exam_results import NOON, add_questions, add_results, result
from tests.simulated import (
    ITEM_IDS,
    N_ANCHORS,
    N_ITEMS,
    N_USERS,
    THETA_MEAN,
    THETA_SD,
    B,
    anchor_metas,
    cohort,
)


@pytest.fixture
def answered(engine: Engine) -> Engine:
    """The cohort's answers, and six anchors among its items."""
    add_cohort(engine)
    return engine


# -- loading ---------------------------------------------------------------------------------------

N_FIRST = N_USERS * (N_ITEMS + 1) + 2
N_AGAIN = N_USERS // 2 * 3


def test_every_answer_is_counted_or_dropped_for_a_reason(answered: Engine) -> None:
    with answered.begin() as connection:
        add_results(
            connection, result({"question_id": "Q00"}, {"question_id": None}, user_id=None), result({})
        )
    answers = load(answered, plan())
    assert answers.counts() == {
        "answers in scope": N_FIRST + N_AGAIN,
        "answers loaded": N_FIRST + N_AGAIN,
        "answers counted": N_FIRST,
        "learners": N_USERS + 1,
        "items": N_ITEMS + 2,
        "anchors with parameters": N_ANCHORS,
    }
    assert answers.dropped() == {
        "repeated answers (MIRT_REPEATS=first)": N_AGAIN,
        "results without a user_id": 1,
        "answers without a question_id": 1,
    }


def first_of(frame: pl.DataFrame) -> dict[tuple[str, str], bool]:
    """The first answer of each learner to each item, in plain Python."""
    chosen: dict[tuple[str, str], bool] = {}
    for row in frame.sort(ANSWER_ORDER).iter_rows(named=True):
        chosen.setdefault((row["user_id"], row["item_id"]), row["correct"])
    return chosen


def latest_of(frame: pl.DataFrame) -> dict[tuple[str, str], bool]:
    rows = frame.sort(ANSWER_ORDER).iter_rows(named=True)
    return {(row["user_id"], row["item_id"]): row["correct"] for row in rows}


def test_the_rule_on_repeats_chooses_the_answers(answered: Engine) -> None:
    chosen = {}
    for repeats in ("first", "latest"):
        answers = load(answered, plan(mirt_repeats=repeats))
        counted = answers.counted.select("user_id", "item_id", "correct")
        chosen[repeats] = {(user, item): right for user, item, right in counted.iter_rows()}
        assert counted.height == len(chosen[repeats]) == N_FIRST
    everything = load(answered, plan(mirt_repeats="all"))
    assert everything.counted.height == everything.loaded.height == N_FIRST + N_AGAIN
    assert everything.dropped() == {}
    assert chosen["first"] == first_of(everything.loaded)
    assert chosen["latest"] == latest_of(everything.loaded)
    assert chosen["first"] != chosen["latest"]


def test_the_newest_answers_are_kept_when_there_are_too_many(answered: Engine) -> None:
    everything, newest = load(answered, plan()).loaded, load(answered, plan(mirt_max_obs=1000))
    assert newest.counts()["answers in scope"] == everything.height
    assert newest.counts()["answers loaded"] == 1000
    assert newest.dropped()["older answers beyond MIRT_MAX_OBS=1000"] == everything.height - 1000
    expected = everything.sort(ANSWER_ORDER).tail(1000).sort("user_id", *ANSWER_ORDER)
    assert newest.loaded.equals(expected)


def test_a_limit_that_is_just_met_drops_nothing(answered: Engine) -> None:
    answers = load(answered, plan(mirt_max_obs=N_FIRST + N_AGAIN, mirt_repeats="all"))
    assert answers.dropped() == {}


def test_topic_and_exam_filters_and_the_days_limit_what_is_loaded(answered: Engine) -> None:
    topic = load(answered, plan(topic_id="topic1")).counted
    assert set(topic["item_id"]) == set(ITEM_IDS[1::2])
    exam = load(answered, plan(exam_id=2)).counted
    assert set(exam["user_id"]) == {f"u{n:03}" for n in range(1, N_USERS, 2)}
    days = load(answered, plan(mirt_lookback_days=3)).counted
    assert set(days["completed_at"].dt.date()) == {TODAY - dt.timedelta(days=n) for n in range(3)}


# -- fitting and writing ---------------------------------------------------------------------------


def test_items_and_learners_are_each_calibrated_or_excluded_for_a_reason(answered: Engine) -> None:
    outcome, _ = run(answered, plan())
    loaded, counts = outcome.answers.counts(), outcome.counts()
    assert counts["items calibrated"] + counts["items excluded"] == loaded["items"]
    assert counts["abilities"] + counts["learners excluded"] == loaded["learners"]
    assert counts == {
        "answers used": N_ITEMS * N_USERS,
        "items calibrated": N_ITEMS,
        "items excluded": 2,
        "abilities": N_USERS,
        "learners excluded": 1,
        "anchors used": N_ANCHORS,
    }
    # Learners are counted, not named.
    assert set(exclusion_table(outcome).select("kind", "id", "number", "answers").rows()) == {
        ("item", "easy", 1, N_USERS),
        ("item", "rare", 1, 2),
        ("user", None, 1, 1),
    }
    lost = outcome.dropped()
    assert lost.pop("answers: to items left out") == N_FIRST - N_ITEMS * N_USERS
    assert sum(lost.values()) == 3


def test_the_tables_hold_the_fit_on_the_anchors_scale(answered: Engine) -> None:
    outcome, written = run(answered, plan())
    fit = outcome.published.calibration
    assert written == {
        "mirt_item_params": Written(inserted=N_ITEMS),
        "mirt_item_params_history": Written(inserted=N_ITEMS),
        "mirt_ability": Written(inserted=N_USERS),
        "student_topic_theta": Written(inserted=2 * N_USERS),
    }
    with answered.connect() as connection:
        in_force = load_fit(connection)
        as_of = scalars(connection, "SELECT as_of FROM mirt_ability ORDER BY user_id")
        thetas = scalars(connection, "SELECT theta FROM mirt_ability ORDER BY user_id")
    assert in_force.prior == fit.prior
    np.testing.assert_array_equal(in_force.items.b, fit.items.b)
    np.testing.assert_array_equal(thetas, fit.abilities.theta)
    # The newest answer that was used: the first one to an item, and not the answer to an excluded item.
    assert as_of[:2] == [NOON, NOON - dt.timedelta(days=1, seconds=1)]
    assert fit.prior.mean == pytest.approx(THETA_MEAN, abs=0.25)
    assert fit.prior.sd == pytest.approx(THETA_SD, abs=0.25)
    assert np.corrcoef(fit.items.b, B)[0, 1] > 0.97


def test_anchors_stand_where_they_stood(answered: Engine) -> None:
    outcome, _ = run(answered, plan())
    table = linking_table(outcome)
    assert table["item_id"].to_list() == [meta["id"] for meta in anchor_metas()]
    np.testing.assert_allclose(table["b_reference"], B[::3])
    np.testing.assert_allclose(table["displacement"], table["b_now"] - table["b_reference"])
    assert table["displacement"].mean() == pytest.approx(0, abs=1e-12)
    assert table["b_now"].std() == pytest.approx(table["b_reference"].std())
    assert np.abs(table["displacement"].to_numpy()).max() < 0.4


def test_the_fit_record_has_the_contracts_keys_and_accounts_for_every_answer(answered: Engine) -> None:
    outcome, _ = run(answered, plan())
    with answered.connect() as connection:
        [run_id] = scalars(connection, "SELECT run_id FROM mirt_fit_meta")
        [spec] = scalars(connection, "SELECT model_spec FROM mirt_fit_meta")
        [metrics] = scalars(connection, "SELECT metrics FROM mirt_fit_meta")
    assert run_id == "fit-2026-11-02T03:00:00Z"
    fit, constants = outcome.published.calibration, outcome.published.constants
    assert constants is not None
    assert spec["linking_constants"] == {"slope": constants.slope, "intercept": constants.intercept}
    assert (spec["theta_mean"], spec["theta_sd"]) == (fit.prior.mean, fit.prior.sd)
    assert (spec["theta_mean"], spec["theta_sd"]) == (constants.intercept, constants.slope)
    expected = {
        "model": "2PL",
        "n_items": N_ITEMS,
        "n_users": N_USERS,
        "n_observations": N_USERS * N_ITEMS,
        "n_anchors": N_ANCHORS,
        "version": "v1",
        "scale": "anchors",
        "reason": None,
    }
    assert {key: spec[key] for key in expected} == expected
    counts, dropped = spec["counts"], spec["dropped"]
    repeated = dropped["repeated answers (MIRT_REPEATS=first)"]
    assert counts["answers loaded"] == counts["answers counted"] + repeated
    assert spec["n_observations"] == counts["answers counted"] - N_USERS - 2
    assert {"aic", "bic", "loglik", "n_iterations", "converged"} <= set(metrics)
    assert (metrics["converged"], metrics["loglik"]) == (True, fit.loglik)


def test_a_rerun_over_the_same_answers_gives_the_same_rows(answered: Engine) -> None:
    first, _ = run(answered, plan())
    again, written = run(answered, plan(), FITTED_AT + dt.timedelta(days=1))
    assert written["mirt_ability"] == Written(changed=N_USERS)
    assert written["mirt_item_params_history"] == Written(inserted=N_ITEMS)
    assert again.published.version == "v1"
    for name in ("a", "b", "se_a", "se_b"):
        before, after = (getattr(o.published.calibration.items, name) for o in (first, again))
        np.testing.assert_array_equal(before, after)
    with answered.connect() as connection:
        assert scalars(connection, "SELECT count(*) FROM mirt_ability") == [N_USERS]


def test_without_anchors_the_next_fit_stays_on_the_first_ones_scale(engine: Engine) -> None:
    with engine.begin() as connection:
        add_results(connection, *cohort())
    first, _ = run(engine, plan())
    assert (first.published.scale, first.constants, first.constants_text) == (Scale.OWN, None, "{}")
    # Half of the learners only: the free scale is another one.
    second, _ = run(engine, plan(exam_id=2), FITTED_AT + dt.timedelta(days=1))
    assert (second.published.scale, second.published.version) == (Scale.LAST_FIT, "v1")
    table = linking_table(second)
    assert table.height == N_ITEMS
    assert table["displacement"].mean() == pytest.approx(0, abs=1e-12)
    with engine.connect() as connection:
        specs = scalars(connection, "SELECT model_spec FROM mirt_fit_meta ORDER BY fitted_at")
    assert [spec["scale"] for spec in specs] == ["own", "last fit"]
    assert [spec["linking_constants"] is None for spec in specs] == [True, False]
    assert all(spec["reason"].startswith("anchors: 0 usable") for spec in specs)


def test_questions_get_parameters_only_when_asked_and_anchors_never(answered: Engine) -> None:
    with answered.begin() as connection:
        add_questions(connection, {"id": "Q01", "meta": {"tags": ["algebra"]}})
    _, written = run(answered, plan())
    assert "question.meta" not in written
    asked = plan(irt_update_question_meta=True)
    outcome, written = run(answered, asked, FITTED_AT + dt.timedelta(days=1))
    assert written["question.meta"].changed == 1
    items = outcome.published.calibration.items
    with answered.connect() as connection:
        metas = {row.id: row.meta for row in connection.execute(sa.select(Question.id, Question.meta))}
    assert metas["Q01"]["irt"]["b"] == items.b[items.index_of(["Q01"])[0]]
    assert metas["Q01"]["tags"] == ["algebra"]
    assert [metas[anchor["id"]] for anchor in anchor_metas()] == [anchor["meta"] for anchor in anchor_metas()]


def topic_thetas(engine: Engine) -> list[tuple[Any, ...]]:
    columns = "user_id, topic_id, n, as_of"
    with engine.connect() as connection:
        rows = connection.execute(sa.text(f"SELECT {columns} FROM student_topic_theta ORDER BY 1, 2"))
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("settings", [{"mirt_lookback_days": 5}, {"mirt_max_obs": 2000}])
def test_topic_theta_rests_on_its_own_sixty_days(answered: Engine, settings: dict[str, Any]) -> None:
    run(answered, plan())
    of_sixty_days = topic_thetas(answered)
    with answered.begin() as connection:
        connection.execute(sa.text("TRUNCATE student_topic_theta"))
    run(answered, plan(**settings), FITTED_AT + dt.timedelta(days=1))
    assert topic_thetas(answered) == of_sixty_days


def test_every_step_of_the_fit_is_reported(answered: Engine, core_log: list[str]) -> None:
    steps: list[int] = []
    chosen = plan()
    outcome = fit_and_publish(
        load(answered, chosen),
        chosen,
        EmbeddedEngine(),
        progress=lambda step, _loglik, _change: steps.append(step),
    )
    assert steps == list(range(1, outcome.published.calibration.n_iterations + 1))
    assert outcome.convergence_text.startswith(f"converged in {len(steps)} iterations")
    assert any("EM converged" in line for line in core_log)


def assert_readable(facts: dict[str, str], names: Sequence[str]) -> None:
    assert all(facts[name] for name in names)
    assert "nan" not in " ".join(facts.values())


def test_the_facts_and_tables_can_be_read(answered: Engine) -> None:
    outcome, _ = run(answered, plan())
    assert_readable(
        facts(outcome),
        ["version of the scale", "linking constants", "convergence", "mean θ of the learners"],
    )
    items = item_table(outcome)
    assert items.height == N_ITEMS
    assert items.select("a", "b", "se_a", "se_b", "n").null_count().sum_horizontal().item() == 0


def test_without_observations_there_is_nothing_to_fit(engine: Engine) -> None:
    answers = load(engine, plan())
    assert answers.counted.is_empty()
    assert set(answers.counts().values()) == {0}
    assert answers.dropped() == {}


# -- what a fit may touch --------------------------------------------------------------------------


def state(connection: Connection) -> tuple[list[Any], ...]:
    tables = ("mirt_item_params", "mirt_ability", "student_topic_theta")
    return tuple(scalars(connection, f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables)


def test_a_fit_on_one_topic_sets_its_items_and_nobodys_ability(answered: Engine) -> None:
    run(answered, plan())
    with answered.connect() as connection:
        items, abilities, topics = state(connection)
        topic = scalars(connection, "SELECT min(topic_id) FROM attempt")[0]
    outcome, written = run(answered, plan(topic_id=topic), FITTED_AT + dt.timedelta(days=1))
    assert not outcome.reach().in_force
    assert "mirt_ability" not in written
    with answered.connect() as connection:
        items_after, *others = state(connection)
        fit = load_fit(connection)
    assert others == [abilities, topics]
    assert len(items_after) == len(items)
    assert items_after != items
    assert fit.run_id == new_run_id(FITTED_AT)


def test_an_older_date_takes_no_newer_fits_place(answered: Engine) -> None:
    run(answered, plan())
    with answered.connect() as connection:
        items, _, topics = state(connection)
    older = plan()
    older = replace(older, scope=replace(older.scope, last_day=older.scope.last_day - dt.timedelta(days=1)))
    outcome, _ = run(answered, older, FITTED_AT + dt.timedelta(days=1))
    assert not outcome.reach().in_force
    with answered.connect() as connection:
        items_after, _, topics_after = state(connection)
        assert load_fit(connection).run_id == new_run_id(FITTED_AT)
    assert (items_after, topics_after) == (items, topics)


def test_with_parameters_written_to_the_questions_a_rerun_is_the_same_to_the_last_bit(
    answered: Engine,
) -> None:
    written = plan(irt_update_question_meta=True)
    run(answered, written)
    second, _ = run(answered, written, FITTED_AT + dt.timedelta(days=1))
    third, _ = run(answered, written, FITTED_AT + dt.timedelta(days=2))
    assert second.published.calibration.items.b.tobytes() == third.published.calibration.items.b.tobytes()


def test_an_anchor_that_drifted_is_dropped_by_name_with_the_reason(answered: Engine) -> None:
    with answered.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE question"
                " SET meta = jsonb_set(meta, '{irt,b}', to_jsonb((meta #>> '{irt,b}')::float + 2))"
                " WHERE id = (SELECT min(id) FROM question WHERE meta -> 'tags' @> '[\"anchor\"]')"
            )
        )
    outcome, _ = run(answered, plan())
    dropped = [reason for reason in outcome.dropped() if "for the linking" in reason]
    assert len(dropped) == 1
    assert outcome.published.n_anchors == N_ANCHORS - 1
