"""The real answers of MathE: 372 learners, 833 items, eight answers an item."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seedtest.irt import Calibration, ExclusionKind, Responses, calibrate


@dataclass(frozen=True)
class MathE:
    frame: pl.DataFrame
    fit: Calibration
    seconds: float


@pytest.fixture(scope="module")
def mathe(shared: Path) -> MathE:
    """Calibrated on the first answer of each learner to each item."""
    raw = pl.read_csv(
        shared / "data" / "mathe" / "mathe.csv", separator=";", encoding="cp1252", infer_schema=False
    )
    answers = raw.select(user_id="Student ID", item_id="Question ID", correct=pl.col("Type of Answer") == "1")
    frame = answers.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    start = time.monotonic()
    fit = calibrate(Responses.from_frame(frame))
    return MathE(frame, fit, time.monotonic() - start)


def test_it_converges_within_seconds(mathe: MathE) -> None:
    assert mathe.frame.height == 6782
    assert mathe.fit.converged
    assert mathe.seconds < 10


def test_every_item_and_learner_is_estimated_or_excluded_with_a_reason(mathe: MathE) -> None:
    fit = mathe.fit
    kinds = [exclusion.kind for exclusion in fit.exclusions]
    assert len(fit.items) + kinds.count(ExclusionKind.ITEM) == 833
    assert len(fit.abilities) + kinds.count(ExclusionKind.USER) == 372
    assert all(exclusion.reason for exclusion in fit.exclusions)


def test_items_with_a_handful_of_answers_get_credible_parameters(mathe: MathE) -> None:
    items = mathe.fit.items
    assert 0.3 < items.a.min() < items.a.max() < 3
    assert np.abs(items.b).max() < 4
    assert np.isfinite(items.se_a).all()
    assert np.isfinite(items.se_b).all()


def test_items_with_more_answers_are_known_better(mathe: MathE) -> None:
    items = mathe.fit.items
    some, many = items.n < 10, items.n >= 40
    assert np.median(items.se_b[many]) < 0.5 * np.median(items.se_b[some])


def test_abilities_follow_the_share_right_and_are_finite(mathe: MathE) -> None:
    abilities = mathe.fit.abilities
    share = mathe.frame.group_by("user_id").agg(right=pl.col("correct").mean(), n=pl.len())
    ours = pl.DataFrame({"user_id": abilities.user_ids, "theta": abilities.theta}).join(share, on="user_id")
    well_known = ours.filter(pl.col("n") >= 20)
    assert np.corrcoef(well_known["theta"], well_known["right"])[0, 1] > 0.85
    assert np.isfinite(abilities.theta).all()
    assert np.isfinite(abilities.se).all()
