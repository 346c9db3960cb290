"""Data at the edge of what can be calibrated: a stated outcome, never a NaN."""

import logging

import numpy as np
import polars as pl
import pytest

from seedtest.errors import CalibrationError, DataError
from seedtest.irt import Calibration, Responses, calibrate
from seedtest.irt.parameters import BoolArray, IntArray
from tests.irt.simulation import simulate

MODELS = ["Rasch", "1PL", "2PL", "3PL"]
COHORT = simulate(seed=61, n_users=400, n_items=12).frame


def finite(fit: Calibration) -> bool:
    values = (
        fit.items.a,
        fit.items.b,
        fit.items.c,
        fit.abilities.theta,
        fit.abilities.se,
        fit.loglik,
        fit.bic,
    )
    return all(np.isfinite(value).all() for value in values)


def answers(user: IntArray, item: IntArray, correct: BoolArray) -> Responses:
    users, items = (tuple(f"{number:06}" for number in range(ids.max() + 1)) for ids in (user, item))
    return Responses.from_arrays(users, items, user, item, correct)


@pytest.mark.parametrize("model", MODELS)
def test_one_learner_is_too_few(model: str) -> None:
    with pytest.raises(CalibrationError, match="0 usable items; 3 are needed"):
        calibrate(Responses.from_frame(COHORT.filter(pl.col("user_id") == "u0000")), model=model)


@pytest.mark.parametrize("model", MODELS)
def test_one_item_is_too_few(model: str) -> None:
    with pytest.raises(CalibrationError, match="its learners answered no other item: 1"):
        calibrate(Responses.from_frame(COHORT.filter(pl.col("item_id") == "i000")), model=model)


def test_items_with_one_response_each_are_too_few_however_many() -> None:
    item = np.arange(100_000)
    with pytest.raises(CalibrationError, match="fewer than 5 answers: 100000"):
        calibrate(answers(item // 50, item, item % 2 == 0))


@pytest.mark.parametrize("model", MODELS)
def test_only_right_answers_cannot_be_calibrated(model: str) -> None:
    with pytest.raises(CalibrationError, match="all answers are right: 12"):
        calibrate(Responses.from_frame(COHORT.with_columns(correct=pl.lit(value=True))), model=model)


@pytest.mark.parametrize("model", MODELS)
def test_some_items_all_right_leave_the_others(model: str) -> None:
    easy = pl.col("item_id").is_in(["i000", "i001"])
    fit = calibrate(Responses.from_frame(COHORT.with_columns(correct=pl.col("correct") | easy)), model=model)
    assert {e.id: e.reason for e in fit.exclusions} == dict.fromkeys(
        ["i000", "i001"], "all answers are right"
    )
    assert finite(fit)


@pytest.mark.parametrize("model", MODELS)
def test_an_isolated_block_is_calibrated_and_reported(model: str, caplog: pytest.LogCaptureFixture) -> None:
    island = simulate(seed=62, n_users=300, n_items=8).frame.with_columns(
        user_id=pl.format("island {}", "user_id"), item_id=pl.format("island {}", "item_id")
    )
    with caplog.at_level(logging.WARNING):
        fit = calibrate(Responses.from_frame(pl.concat([COHORT, island])), model=model)
    assert fit.n_blocks == 2
    assert "fall into 2 blocks without a common learner" in caplog.text
    assert len(fit.items) + len(fit.exclusions) == 20
    assert finite(fit)
    assert calibrate(Responses.from_frame(COHORT), model=model).n_blocks == 1


@pytest.mark.parametrize("model", MODELS)
def test_the_same_answers_given_again_count_again(model: str) -> None:
    once = calibrate(Responses.from_frame(COHORT), model=model)
    more = COHORT.sample(fraction=0.1, seed=3)
    twice = calibrate(Responses.from_frame(pl.concat([COHORT, more])), model=model)
    assert twice.n_observations == once.n_observations + more.height
    assert finite(twice)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_converges_on_noise(model: str) -> None:
    rng = np.random.default_rng(7)
    noise = COHORT.with_columns(correct=pl.Series(rng.random(COHORT.height) < 0.5))
    try:
        fit = calibrate(Responses.from_frame(noise), model=model)
    except CalibrationError as error:
        assert "usable items" in str(error)  # noqa: PT017 - a refusal is one of the two outcomes
        return
    assert fit.converged
    assert finite(fit)


# A lower asymptote has no mirror image.
@pytest.mark.parametrize("model", ["Rasch", "1PL", "2PL"])
def test_reversed_answers_give_the_mirror_image(model: str) -> None:
    fit = calibrate(Responses.from_frame(COHORT), model=model)
    mirror = calibrate(Responses.from_frame(COHORT.with_columns(~pl.col("correct"))), model=model)
    np.testing.assert_allclose(mirror.items.b, -fit.items.b, atol=1e-4)
    np.testing.assert_allclose(mirror.abilities.theta, -fit.abilities.theta, atol=1e-4)


@pytest.mark.parametrize("model", ["Rasch", "1PL", "2PL"])
def test_every_learner_twice_doubles_the_log_likelihood(model: str) -> None:
    twins = COHORT.with_columns(pl.col("user_id") + "-twin")
    fit = calibrate(Responses.from_frame(COHORT), model=model)
    double = calibrate(Responses.from_frame(pl.concat([COHORT, twins])), model=model)
    assert double.loglik == pytest.approx(2 * fit.loglik, abs=1e-4)
    np.testing.assert_allclose(double.items.b, fit.items.b, atol=1e-3)


@pytest.mark.parametrize(
    ("correct", "complaint"), [([np.nan], "neither right"), ([-1], "neither right"), ([2], "neither right")]
)
def test_verdicts_that_are_none_are_refused(correct: list[float], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        Responses.from_arrays(("u",), ("i",), [0], [0], correct)


@pytest.mark.parametrize(("user", "item"), [(-1, 0), (0, -1), (1, 0), (0, 1), (0, 2**31)])
def test_positions_outside_are_refused(user: int, item: int) -> None:
    with pytest.raises(DataError, match=r"outside 0…0|beyond"):
        Responses.from_arrays(("u",), ("i",), [user], [item], [True])


def test_positions_must_be_whole_numbers() -> None:
    with pytest.raises(DataError, match="whole numbers are needed"):
        Responses.from_arrays(("u",), ("i",), [0.0], [0], [True])
