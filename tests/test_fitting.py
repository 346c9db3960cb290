"""Fitting through the engine's seam: free and linked, or with the anchors held."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest

from seedtest.engine import EmbeddedEngine, EngineFit, FitRequest, OnStep
from seedtest.errors import CalibrationError
from seedtest.fitting import fit_to_scale
from seedtest.irt import ItemParameters, LinkingConstants, link, probability
from seedtest.irt.parameters import FloatArray
from seedtest.scale import Published, Scale
from tests.fits import NO_ITEMS, NOTHING_FITTED

N_ITEMS, N_ANCHORS, N_USERS = 30, 9, 1500
MEAN, SD = 0.5, 1.2
"""Of the learners on the anchors' scale."""


def bank(c: float | FloatArray = 0.0) -> ItemParameters:
    rng = np.random.default_rng(41)
    ids = [f"i{number:02}" for number in range(N_ITEMS)]
    b = np.concatenate([np.linspace(-1.5, 2.0, N_ANCHORS), rng.normal(MEAN, SD, N_ITEMS - N_ANCHORS)])
    return ItemParameters.from_values(ids, rng.lognormal(0.0, 0.25, N_ITEMS), b, c)


def answered(items: ItemParameters) -> pl.DataFrame:
    """Every learner's answers to two thirds of the items."""
    rng = np.random.default_rng(42)
    theta = rng.normal(MEAN, SD, N_USERS)
    taken = rng.random((N_USERS, N_ITEMS)).argsort(axis=1)[:, : N_ITEMS * 2 // 3]
    user, item = np.repeat(np.arange(N_USERS), taken.shape[1]), taken.ravel()
    correct = rng.random(item.size) < probability(items, theta)[item, user]
    frame = pl.DataFrame({"user": user, "item": item, "correct": correct})
    return frame.select(pl.format("u{}", "user").alias("user_id"), item_ids(items), "correct")


def item_ids(items: ItemParameters) -> pl.Expr:
    return pl.lit(pl.Series(items.item_ids)).gather(pl.col("item")).alias("item_id")


BANK = bank()
ANSWERS = answered(BANK)
ANCHORS = BANK.select(np.arange(N_ITEMS) < N_ANCHORS)


def request(
    answers: pl.DataFrame = ANSWERS, anchors: ItemParameters = ANCHORS, model: str = "2PL"
) -> FitRequest:
    return FitRequest(answers, model, anchors, hold_anchors=False, starts=NO_ITEMS, min_responses=5)


def fixed(
    answers: pl.DataFrame = ANSWERS, anchors: ItemParameters = ANCHORS, model: str = "2PL"
) -> Published:
    return fit_to_scale(request(answers, anchors, model), NOTHING_FITTED, "fixed", EmbeddedEngine())


def assert_held(published: Published, anchors: ItemParameters) -> None:
    items = published.calibration.items
    at = items.index_of(anchors.item_ids)
    assert published.is_held
    for name in ("a", "b", "c"):
        np.testing.assert_array_equal(getattr(items, name)[at], getattr(anchors, name))


# -- anchors held ----------------------------------------------------------------------------------


def test_held_anchors_keep_their_parameters_and_the_learners_are_found_on_their_scale() -> None:
    published = fixed()
    assert_held(published, ANCHORS)
    assert (published.scale, published.constants, published.reason) == (Scale.ANCHORS, None, None)
    assert (published.method, published.version, published.n_anchors) == ("fixed", "v1", N_ANCHORS)
    assert published.calibration.prior.mean == pytest.approx(MEAN, abs=0.1)
    assert published.calibration.prior.sd == pytest.approx(SD, abs=0.1)
    new = published.calibration.items.b[N_ANCHORS:] - BANK.b[N_ANCHORS:]
    assert abs(new.mean()) < 0.1


def test_a_second_fit_of_the_same_answers_is_the_same_to_the_last_bit() -> None:
    once, again = fixed(), fixed(ANSWERS.sample(fraction=1.0, shuffle=True, seed=1))
    for name in ("a", "b", "se_a", "se_b"):
        one, other = (getattr(published.calibration.items, name) for published in (once, again))
        assert one.tobytes() == other.tobytes()


def test_an_anchor_that_drifted_is_not_held_but_estimated() -> None:
    drifted = replace(ANCHORS, b=ANCHORS.b + np.where(np.arange(N_ANCHORS) == 4, 1.0, 0.0))
    published = fixed(anchors=drifted)
    assert [one.id for one in published.linking.dropped] == ["i04"]
    assert published.n_anchors == N_ANCHORS - 1
    assert_held(published, drifted.select(np.arange(N_ANCHORS) != 4))
    assert published.calibration.items.b[4] == pytest.approx(BANK.b[4], abs=0.3)


def test_anchors_without_answers_are_not_held_and_do_no_harm() -> None:
    more = ItemParameters.from_values([*ANCHORS.item_ids, "gone"], [*ANCHORS.a, 1.0], [*ANCHORS.b, 9.0])
    published = fixed(anchors=more)
    assert published.n_anchors == N_ANCHORS
    np.testing.assert_array_equal(published.calibration.items.b, fixed().calibration.items.b)


def test_with_one_usable_anchor_nothing_is_held() -> None:
    published = fixed(anchors=ANCHORS.select(np.arange(N_ANCHORS) < 1))
    assert (published.is_held, published.scale, published.constants) == (False, Scale.OWN, None)
    assert published.reason == "anchors: 1 usable common items; 2 are needed"


def test_contradictory_anchors_are_not_held() -> None:
    published = fixed(anchors=replace(ANCHORS, b=-ANCHORS.b))
    assert (published.is_held, published.scale) == (False, Scale.OWN)
    assert "contradictory" in (published.reason or "")


def test_a_bank_of_anchors_alone_gives_abilities_on_its_scale() -> None:
    published = fixed(anchors=BANK)
    assert_held(published, BANK)
    assert published.calibration.prior.mean == pytest.approx(MEAN, abs=0.1)
    assert len(published.calibration.abilities) == N_USERS


def test_an_anchor_keeps_its_lower_asymptote_in_a_2pl() -> None:
    guessed = bank(np.where(np.arange(N_ITEMS) < N_ANCHORS, 0.2, 0.0))
    anchors = guessed.select(np.arange(N_ITEMS) < N_ANCHORS)
    published = fixed(answered(guessed), anchors)
    assert_held(published, anchors)
    assert published.calibration.item_models == ("3PL",) * N_ANCHORS + ("2PL",) * (N_ITEMS - N_ANCHORS)
    assert published.calibration.prior.mean == pytest.approx(MEAN, abs=0.1)


@pytest.mark.parametrize("model", ["Rasch", "3PL"])
def test_other_models_hold_anchors_too(model: str) -> None:
    published = fixed(model=model)
    used = ANCHORS.take(ANCHORS.index_of(published.linking.used_ids))
    assert_held(published, used)
    assert published.calibration.model == model
    assert set(published.calibration.item_models[N_ANCHORS:]) == {model}


def test_steps_are_counted_on_over_both_fits() -> None:
    steps: list[int] = []

    def on_step(step: int, _loglik: float, _change: float) -> None:
        steps.append(step)

    fit_to_scale(request(), NOTHING_FITTED, "fixed", EmbeddedEngine(), on_step)
    assert steps == list(range(1, len(steps) + 1))


# -- other engines ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinkingEngine:
    """Links a free fit itself, by Stocking and Lord's curves."""

    name: str = "linking"

    def fit(self, request: FitRequest, progress: OnStep | None = None) -> EngineFit:
        free = EmbeddedEngine().fit(request, progress).calibration
        constants = link(free.items, request.anchors, "stocking-lord").constants
        return EngineFit(free if constants is None else free.linked(constants), constants)


@dataclass(frozen=True)
class ForgetfulEngine:
    """Fits freely whatever it is asked to hold."""

    name: str = "forgetful"

    def fit(self, request: FitRequest, progress: OnStep | None = None) -> EngineFit:
        return EmbeddedEngine().fit(replace(request, hold_anchors=False), progress)


@pytest.mark.parametrize("linking", ["mean-sigma", "fixed"])
def test_what_an_engine_has_linked_is_not_linked_again(linking: str) -> None:
    published = fit_to_scale(request(), NOTHING_FITTED, linking, LinkingEngine())
    expected = LinkingEngine().fit(request())
    assert isinstance(published.constants, LinkingConstants)
    assert published.constants == expected.constants
    np.testing.assert_array_equal(published.calibration.items.b, expected.calibration.items.b)


def test_every_engines_free_fit_is_linked_by_the_pipeline() -> None:
    free = EmbeddedEngine().fit(request()).calibration
    published = fit_to_scale(request(), NOTHING_FITTED, "mean-sigma", ForgetfulEngine())
    assert published.constants == link(free.items, ANCHORS, "mean-sigma").constants


def test_an_engine_that_holds_nothing_is_found_out() -> None:
    with pytest.raises(
        CalibrationError, match=r"'forgetful' was to hold 9 anchors, but in its fit \d of them"
    ):
        fit_to_scale(request(), NOTHING_FITTED, "fixed", ForgetfulEngine())
