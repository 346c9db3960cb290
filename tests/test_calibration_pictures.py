"""The pictures of a calibration: what each says, whichever way the fit came to its scale."""

import datetime as dt
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from seedtest.calibration import Outcome
from seedtest.calibration_pictures import Picture, comparison, convergence, linking, pictures
from seedtest.calibration_report import doubts
from seedtest.db.schema import Question
from tests.calibrating import FITTED_AT, add_cohort, plan, run
from tests.db.exam_results import add_questions, add_results
from tests.simulated import ITEM_IDS, N_ITEMS, cohort

LATER = FITTED_AT + dt.timedelta(days=1)


@pytest.fixture
def answered(engine: Engine) -> Engine:
    add_cohort(engine)
    return engine


def without_anchors(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(Question))


def assert_drawn(picture: Picture) -> None:
    assert picture.png is not None
    assert picture.png.startswith(b"\x89PNG")
    assert len(picture.png) < 80_000
    assert picture.look_for
    assert picture.alt


def test_a_first_fit_has_all_but_a_comparison(answered: Engine) -> None:
    outcome, _ = run(answered, plan())
    *drawn, last = pictures(outcome)
    for picture in drawn:
        assert_drawn(picture)
    assert (last.png, last.shows) == (None, "This is the first fit.")


def test_a_second_fit_lists_the_largest_changes_first(answered: Engine) -> None:
    run(answered, plan())
    outcome, _ = run(answered, plan(mirt_lookback_days=5), LATER)
    picture = comparison(outcome)
    assert_drawn(picture)
    assert f"{N_ITEMS} common items (0 only in this fit, 0 only in the last)" in picture.shows
    table = picture.table
    assert table is not None
    sizes = table["change"].abs().to_list()
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0
    assert (table["standard_error"] > 0).all()


def test_of_held_anchors_no_error_of_a_change_is_known(answered: Engine) -> None:
    run(answered, plan(mirt_linking="fixed"))
    outcome, _ = run(answered, plan(mirt_linking="fixed", mirt_lookback_days=5), LATER)
    table = comparison(outcome).table
    assert table is not None
    assert not table["standard_error"].is_nan().any()
    assert "then held at their reference" in linking(outcome).shows
    assert linking(outcome).alt.endswith("6 held, 0 not held.")


def test_a_fit_on_another_scale_is_not_compared(answered: Engine) -> None:
    without_anchors(answered)
    run(answered, plan())
    with answered.begin() as connection:
        add_questions(
            connection,
            *(
                {"id": ITEM_IDS[n], "meta": {"tags": ["anchor"], "irt": {"a": 1, "b": n / 8}}}
                for n in (0, 8, 15)
            ),
        )
    outcome, _ = run(answered, plan(), LATER)
    assert outcome.published.version == "v2"
    picture = comparison(outcome)
    assert picture.png is None
    assert picture.shows.endswith("cannot be compared: it is on another scale.")


def test_without_anchors_the_last_fits_items_are_shown(engine: Engine) -> None:
    with engine.begin() as connection:
        add_results(connection, *cohort())
    first, _ = run(engine, plan())
    assert linking(first).shows == "No item to compare: anchors: 0 usable common items; 2 are needed."
    second, _ = run(engine, plan(exam_id=2), LATER)
    picture = linking(second)
    assert_drawn(picture)
    assert picture.title == "Items of the last fit, old against new"
    assert "the linking by items of the last fit (mean-sigma)" in picture.shows


def contradictory(engine: Engine) -> Outcome:
    without_anchors(engine)
    with engine.begin() as connection:
        add_questions(
            connection,
            *(
                {"id": ITEM_IDS[n], "meta": {"tags": ["anchor"], "irt": {"a": 1, "b": -n}}}
                for n in (0, 5, 10)
            ),
        )
    return run(engine, plan())[0]


def test_contradictory_anchors_are_shown_without_a_line(answered: Engine) -> None:
    outcome = contradictory(answered)
    picture = linking(outcome)
    assert_drawn(picture)
    assert "not linked: anchors: contradictory common items" in picture.shows
    assert picture.alt.endswith("3 compared, 0 dropped.")
    [doubt] = doubts(outcome)
    assert doubt.endswith("check their keys and parameters.")


def test_an_engine_that_tells_no_steps_is_quoted(answered: Engine) -> None:
    outcome, _ = run(answered, plan())
    fit = outcome.published.calibration
    assert len(outcome.steps) == fit.n_iterations
    assert convergence(outcome).alt.startswith(f"{fit.n_iterations} EM steps, the last change ")
    silent = replace(outcome, steps=())
    assert convergence(silent).png is None
    said = f"it says: converged in {fit.n_iterations} iterations, last change "
    assert said in convergence(silent).shows


def test_an_engine_that_says_nothing_of_convergence_is_doubted(answered: Engine) -> None:
    outcome, _ = run(answered, plan())
    fit = replace(outcome.published.calibration, n_iterations=0, converged=False, criterion=float("nan"))
    untold = replace(outcome, published=replace(outcome.published, calibration=fit), steps=())
    assert doubts(untold)[0].startswith("The engine does not say that the fit converged.")
    assert "nan" not in convergence(untold).shows


def test_a_rerun_over_the_same_answers_lists_no_change(answered: Engine) -> None:
    run(answered, plan())
    outcome, _ = run(answered, plan(), LATER)
    table = comparison(outcome).table
    assert table is not None
    assert table.is_empty()
