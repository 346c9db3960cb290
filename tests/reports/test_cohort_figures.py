"""The figures of the operator's pages: distributions, item curves, how precisely a bank measures."""

from dataclasses import replace

import numpy as np
import pytest

from reports.figures.curves import THETA, bank_precision, item_curves
from reports.figures.histogram import Distribution, histogram
from reports.texts import texts_in
from seedtest.irt import ItemParameters, information
from tests.reports.drawings import only, outlines, words

EN = texts_in("en")


def two_items() -> ItemParameters:
    items = ItemParameters.from_values(["Q<1>", "Q2"], [1.2, 0.8], [-0.5, 7.0], [0.2, 0.0], 250)
    return replace(items, se_b=np.array([0.21, np.nan]))


def test_a_histogram_counts_every_value() -> None:
    values = np.random.default_rng(1).normal(0, 1, 1000)
    figure = only(histogram(Distribution("theta", "Ability θ", values, n_missing=3), EN))
    heights = [np.ptp(bar[:, 1]) for bar in outlines(figure, "bars")]
    edges = [bar[:, 0].min() for bar in outlines(figure, "bars")]
    assert edges == sorted(edges)
    assert np.sum(heights) / max(heights) * np.max(_counts(values, len(heights))) == pytest.approx(
        1000, rel=0.02
    )
    assert "1,000 values, 3 without one" in words(figure)
    assert f"median {EN.number(float(np.median(values)))}" in figure.alt_text


def _counts(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Counts in bins half a logit wide, as the histogram of a thousand abilities has them."""
    counts = np.histogram(values, np.arange(-5, 5.5, 0.5))[0]
    assert np.count_nonzero(counts) == n_bins
    return counts


def test_a_histogram_of_one_value_or_of_none() -> None:
    figure = only(histogram(Distribution("one", "One", np.array([0.3])), EN))
    assert len(outlines(figure, "bars")) == 1
    assert histogram(Distribution("none", "None", np.array([])), EN) is None


def test_a_far_value_does_not_make_a_million_bars() -> None:
    values = np.array([*np.linspace(0, 1, 500), 1e6])
    figure = only(histogram(Distribution("far", "Far", values), EN))
    assert len(outlines(figure, "bars")) == 2


def test_item_curves_mark_the_difficulty_with_its_error() -> None:
    figure = item_curves(two_items(), 0, EN)
    curve, informs = outlines(figure, "curve")
    assert len(curve) == len(informs) == len(THETA)
    assert (np.diff(curve[:, 1]) <= 0).all(), "the chance of success grows with θ"
    assert outlines(figure, "difficulty-se")
    assert "Q<1>" in words(figure)
    assert "b −0.50 ± 0.21" in words(figure)
    assert "a 1.20, b −0.50 ± 0.21, c 0.20, from 250 answers" in figure.alt_text


def test_an_item_far_out_has_curves_without_its_mark() -> None:
    figure = item_curves(two_items(), 1, EN)
    assert len(outlines(figure, "curve")) == 2
    assert not outlines(figure, "difficulty")


def test_a_banks_precision_is_that_of_all_items() -> None:
    items = two_items()
    figure = only(bank_precision(items, EN))
    at_zero = information(items, np.array([0.0])).sum()
    assert f"SE at θ 0: {EN.number(float(1 / np.sqrt(at_zero)))}." in figure.alt_text
    assert bank_precision(items.select(np.array([False, False])), EN) is None
