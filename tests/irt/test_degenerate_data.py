"""Answers that no model can use have a stated outcome, never a NaN."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtest.errors import CalibrationError
from seedtest.irt import (
    THIN_ITEM_PRIORS,
    Calibration,
    ExclusionKind,
    ItemParameters,
    ItemPriors,
    Responses,
    calibrate,
)
from tests.irt.simulation import simulate

BASE = simulate(seed=21, n_users=120, n_items=10).frame


def extra(item_id: str, correct: pl.Expr, users: int = 120, source: pl.DataFrame = BASE) -> pl.DataFrame:
    """Answers of the first learners to one more item; `correct` sees the columns right and nth."""
    by_user = source.group_by("user_id").agg(right=pl.col("correct").mean()).sort("user_id").head(users)
    answers = by_user.with_row_index("nth").with_columns(correct=correct, item_id=pl.lit(item_id))
    return answers.select(source.columns)


def fitted(*frames: pl.DataFrame) -> Calibration:
    return calibrate(Responses.from_frame(pl.concat([BASE, *frames])))


def reasons(fit: Calibration) -> dict[tuple[str, str], tuple[str, int]]:
    return {(e.kind.value, e.id): (e.reason, e.n) for e in fit.exclusions}


def test_items_with_too_few_answers_are_left_out() -> None:
    fit = fitted(extra("rare", pl.col("nth") % 2 == 0, users=4))
    assert reasons(fit) == {("item", "rare"): ("fewer than 5 answers", 4)}


def test_items_all_right_or_all_wrong_are_left_out() -> None:
    fit = fitted(extra("easy", pl.lit(value=True)), extra("hard", pl.lit(value=False)))
    assert reasons(fit) == {
        ("item", "easy"): ("all answers are right", 120),
        ("item", "hard"): ("all answers are wrong", 120),
    }


def test_an_item_scored_upside_down_is_left_out_and_the_others_fitted_without_it() -> None:
    fit = fitted(extra("reversed", pl.col("right") < 0.5))
    assert reasons(fit) == {("item", "reversed"): ("discrimination is negative", 120)}
    np.testing.assert_allclose(fit.items.a, fitted().items.a, atol=1e-4)
    assert fit.loglik == pytest.approx(fitted().loglik, abs=1e-5)


def test_an_item_scored_upside_down_is_found_without_priors_too() -> None:
    source = simulate(seed=22, n_users=400, n_items=10).frame
    noisy = (pl.col("right") < 0.5) ^ (pl.col("nth") % 4 == 0)
    answers = pl.concat([source, extra("reversed", noisy, users=400, source=source)])
    fit = calibrate(Responses.from_frame(answers))
    assert reasons(fit) == {("item", "reversed"): ("discrimination is negative", 400)}


def test_a_coin_toss_does_not_become_an_item_of_absurd_difficulty() -> None:
    source = simulate(seed=23, n_users=1000, n_items=10).frame
    answers = pl.concat([source, extra("coin", pl.col("nth") % 10 < 3, users=1000, source=source)])
    fit = calibrate(Responses.from_frame(answers))
    assert np.abs(fit.items.b).max() <= 10
    assert fit.items.a.min() >= 0.05


def test_an_item_that_splits_learners_like_a_step_is_left_out_without_prior() -> None:
    source = simulate(seed=24, n_users=300, n_items=40).frame
    answers = pl.concat([source, extra("step", pl.col("right") > 0.55, users=300, source=source)])
    fit = calibrate(Responses.from_frame(answers), item_priors=None)
    assert ("item", "step") in reasons(fit)
    assert reasons(fit)["item", "step"][0] == "discrimination ran off to the bound of 10"


def test_an_item_of_learners_who_answered_nothing_else_is_left_out_with_them() -> None:
    island = pl.DataFrame(
        {
            "user_id": [f"islander {number}" for number in range(20)],
            "item_id": ["island"] * 20,
            "correct": [number % 2 == 0 for number in range(20)],
        }
    )
    fit = fitted(island)
    assert reasons(fit)["item", "island"] == ("its learners answered no other item", 20)
    assert reasons(fit)["user", "islander 7"] == ("no answer to a calibrated item", 1)
    assert len(fit.abilities) == 120


def test_learners_left_without_a_counted_answer_are_reported() -> None:
    stranger = pl.DataFrame({"user_id": ["stranger"] * 2, "item_id": ["x", "y"], "correct": [True, False]})
    fit = fitted(stranger)
    assert reasons(fit)["user", "stranger"] == ("no answer to a calibrated item", 2)
    assert {e.kind for e in fit.exclusions} == {ExclusionKind.USER, ExclusionKind.ITEM}
    assert "stranger" not in fit.abilities.user_ids


def test_learners_who_got_everything_right_or_wrong_have_an_ability() -> None:
    ids = BASE["item_id"].unique()
    ace = pl.DataFrame({"user_id": "ace", "item_id": ids, "correct": True})
    novice = pl.DataFrame({"user_id": "novice", "item_id": ids, "correct": False})
    fit = fitted(ace, novice)
    theta = dict(zip(fit.abilities.user_ids, fit.abilities.theta, strict=True))
    assert theta["ace"] == max(theta.values())
    assert theta["novice"] == min(theta.values())
    assert np.isfinite(fit.abilities.se).all()


def test_repeated_answers_count_each() -> None:
    twice = fitted(BASE)
    assert twice.n_observations == 2 * len(BASE)
    assert set(twice.abilities.n) == {20}
    assert np.isfinite(twice.items.se_a).all()


def test_starting_values_out_of_bounds_are_not_used() -> None:
    ids = sorted(BASE["item_id"].unique())
    absurd = ItemParameters.from_values(ids[:4], [np.nan, -1.0, 1e9, 1.0], [0.0, 0.0, 0.0, 1e9])
    fit = calibrate(Responses.from_frame(BASE), start=absurd)
    np.testing.assert_array_equal(fit.items.b, fitted().items.b)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 6), st.booleans()), min_size=20, max_size=150),
    item_priors=st.sampled_from([THIN_ITEM_PRIORS, None]),
)
def test_any_answers_give_finite_estimates_or_a_clear_refusal(
    rows: list[tuple[int, int, bool]], item_priors: ItemPriors | None
) -> None:
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "correct"], orient="row")
    responses = Responses.from_frame(frame.with_columns(pl.col("user_id", "item_id").cast(pl.String)))
    try:
        fit = calibrate(responses, min_responses=2, item_priors=item_priors)
    except CalibrationError as error:
        assert "3 are needed" in str(error)  # noqa: PT017 - a refusal is one of the two outcomes
        return
    for values in (fit.items.a, fit.items.b, fit.abilities.theta, fit.abilities.se, fit.loglik):
        assert np.isfinite(values).all()
    assert ((fit.items.a >= 0.05) & (fit.items.a < 10) & (np.abs(fit.items.b) <= 10)).all()


def test_no_responses_cannot_be_calibrated() -> None:
    with pytest.raises(CalibrationError, match="no responses"):
        calibrate(Responses.from_frame(BASE.clear()))


@pytest.mark.parametrize("n_items", [1, 2])
def test_fewer_than_three_items_cannot_be_calibrated(n_items: int) -> None:
    kept = sorted(BASE["item_id"].unique())[:n_items]
    with pytest.raises(CalibrationError, match=r"usable items; 3 are needed"):
        calibrate(Responses.from_frame(BASE.filter(pl.col("item_id").is_in(kept))))


def test_one_learner_cannot_be_calibrated_and_the_message_says_why() -> None:
    with pytest.raises(CalibrationError, match=r"fewer than 5 answers: 10"):
        calibrate(Responses.from_frame(BASE.filter(pl.col("user_id") == "u0000")))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"model": "4PL"}, "model '4PL' is not supported; choose Rasch, 1PL, 2PL, 3PL"),
        ({"n_nodes": 5}, "5 nodes"),
        ({"max_iterations": 0}, "max_iterations is 0"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"min_responses": 1}, "min_responses is 1"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(CalibrationError, match=complaint):
        calibrate(Responses.from_frame(BASE), **options)  # type: ignore[arg-type]  # wrong on purpose
