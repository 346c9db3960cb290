"""The pictures of a calibration show what they are given."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from seedtest import calibration_figures as figures
from seedtest.engine import Step
from seedtest.irt import STANDARD_NORMAL, Abilities, LinkingConstants
from tests.fits import items_at

ITEMS = items_at({f"Q{n}": (n - 10) / 5 for n in range(20)})
ABILITIES = Abilities(("u1", "u2", "u3"), np.array([-1.0, 0.0, 1.0]), np.full(3, 0.4), np.full(3, 9))


def words(figure: Figure) -> str:
    texts = [text.get_text() for ax in figure.axes for text in (ax.title, *ax.texts)]
    legends = [text.get_text() for ax in figure.axes if (box := ax.get_legend()) for text in box.get_texts()]
    return "\n".join(texts + legends)


@pytest.mark.parametrize("guessing", [False, True])
def test_distributions_have_a_panel_for_each_parameter_and_ability(guessing: bool) -> None:
    items = replace(ITEMS, c=np.full(20, 0.2)) if guessing else ITEMS
    shown = words(figures.distributions(items, ABILITIES, STANDARD_NORMAL))
    assert ("Lower asymptote c" in shown) is guessing
    assert "20 items" in shown
    assert "3 learners" in shown


def test_the_linking_shows_its_line_and_names_the_dropped_anchors() -> None:
    kept = np.array([name != "Q3" for name in ITEMS.item_ids])
    shown = figures.linking(ITEMS, replace(ITEMS, b=2 * ITEMS.b + 1), kept, LinkingConstants(2.0, 1.0))
    assert "θ' = 2.000·θ + 1.000" in words(shown)
    assert "Q3" in words(shown)
    assert "Q4" not in words(shown)
    assert "used: 19" in words(shown)
    line = shown.axes[0].lines[-1].get_ydata()
    assert np.allclose(line, [2 * ITEMS.b.min() + 1, 2 * ITEMS.b.max() + 1])


def test_an_item_named_like_a_formula_is_drawn_as_text() -> None:
    odd = replace(ITEMS, item_ids=("$\\frac{$", *ITEMS.item_ids[1:]))
    kept = np.array([False] + [True] * 19)
    assert figures.png(figures.linking(odd, odd, kept, None)).startswith(b"\x89PNG")


def test_names_without_letters_in_the_font_and_long_ones_are_drawn_all_the_same() -> None:
    odd = replace(ITEMS, item_ids=("문항-1", "x" * 60, *ITEMS.item_ids[2:]))
    kept = np.array([False, False] + [True] * 18)
    figure = figures.linking(odd, odd, kept, None)
    assert figures.png(figure).startswith(b"\x89PNG")
    assert {text.get_text() for text in figure.axes[0].texts} == {"□□-1", "x" * 17 + "…"}


def test_names_do_not_cover_each_other() -> None:
    close = items_at({f"a-long-item-{n}": n / 1000 for n in range(8)} | {"far": 3.0})
    figure = figures.linking(close, close, np.array([False] * 8 + [True]), None)
    figures.png(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert boxes
    assert all(not one.count_overlaps([box for box in boxes if box is not one]) for one in boxes)


def test_one_far_value_draws_no_million_bars() -> None:
    far = replace(ITEMS, a=np.where(np.arange(20) == 3, 1e9, ITEMS.a + np.arange(20) * 1e-9))
    assert len(figures.distributions(far, ABILITIES, STANDARD_NORMAL).axes[0].patches) <= 60


def test_convergence_shows_every_step() -> None:
    steps = [Step(n, -1000 - 100 * 0.3**n, 0.3**n) for n in range(1, 8)]
    figure = figures.convergence(steps, 1e-6)
    assert np.allclose(figure.axes[1].lines[0].get_ydata(), [step.change for step in steps], rtol=0)
    assert "converged below 1e-06" in words(figure)


def test_the_comparison_names_what_moved_most() -> None:
    last = replace(ITEMS, b=ITEMS.b + np.where(np.arange(20) == 6, 1.0, 0.0))
    shown = words(figures.comparison(ITEMS, last))
    assert "Q6" in shown
    assert "Q7" not in shown


def test_pictures_are_png_of_moderate_size() -> None:
    image = figures.png(figures.distributions(ITEMS, ABILITIES, STANDARD_NORMAL))
    assert image.startswith(b"\x89PNG")
    assert len(image) < 100_000
