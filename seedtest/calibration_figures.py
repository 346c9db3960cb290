"""A calibration as pictures: parameters and abilities, anchors, convergence, change since the last fit."""

import io
import itertools
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from scipy.stats import norm

from seedtest.engine import Step
from seedtest.irt import Abilities, ItemParameters, LinkingConstants, Prior
from seedtest.irt.parameters import BoolArray, FloatArray

# Okabe & Ito's (2008) palette: told apart by every kind of colour vision.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
DOTS_PER_INCH = 110
MOST_NAMES = 8
"""More names than this beside points of a plot cover each other."""
NAMED_CHANGE = 0.1
"""Items that changed less than this between two fits are not worth a name."""
MOST_MARKERS = 100
"""More steps than this are a line without markers."""
LONGEST_NAME = 18
NAME_POINTS = 7
"""Size of a name's letters."""

Positions = NDArray[np.signedinteger]


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG image."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=DOTS_PER_INCH)
    return target.getvalue()


def distributions(items: ItemParameters, abilities: Abilities, prior: Prior) -> Figure:
    """Draw how a, b, where items have one c, and θ are distributed; over θ the ability distribution."""
    guessing = items.c > 0
    panels = [("Discrimination a", items.a), ("Difficulty b (logits)", items.b)]
    if guessing.any():
        panels.append(("Lower asymptote c", items.c[guessing]))
    # Four beside each other would be too small to read.
    rows, columns = (2, 2) if len(panels) == 3 else (1, 3)
    figure = Figure(figsize=(3 * columns, 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, (title, values) in zip(axes, panels, strict=False):
        _histogram(ax, title, values, "items")
    _histogram(axes[-1], "Ability θ (logits)", abilities.theta, "learners", density=True)
    theta = prior.mean + prior.sd * np.linspace(-3.5, 3.5, 200)
    axes[-1].plot(theta, norm.pdf(theta, prior.mean, prior.sd), color=ORANGE)
    axes[-1].set_ylabel("density")
    return figure


def _histogram(ax: Axes, title: str, values: FloatArray, what: str, *, density: bool = False) -> None:
    # Rice's rule; rules that look at the spread draw millions of bars around one far value.
    bins = int(np.clip(2 * np.cbrt(len(values)), 5, 60))
    ax.hist(values, bins=bins, color=BLUE, density=density)
    ax.set_title(f"{title}\n{len(values):,} {what}", fontsize=10)
    ax.set_ylabel(what)
    _quiet(ax)


def linking(
    free: ItemParameters,
    reference: ItemParameters,
    kept: BoolArray,
    constants: LinkingConstants | None,
    labels: tuple[str, str] = ("used", "dropped"),
) -> Figure:
    """Draw anchors' old difficulty against that of the free fit, and the line that the constants are.

    `free` and `reference` are the same items in the same order, `kept` says which carried the linking; the
    others are named. `labels` say what became of the ones and of the others.
    """
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    ax = figure.subplots()
    for chosen, colour, marker, label in ((kept, BLUE, "o", labels[0]), (~kept, ORANGE, "s", labels[1])):
        _points(ax, free, reference, np.flatnonzero(chosen), (colour, marker, label))
    if constants is not None and len(free):
        b = np.array([free.b.min(), free.b.max()])
        ax.plot(b, constants.slope * b + constants.intercept, color=GREY, lw=1, zorder=0)
        ax.set_title(f"θ' = {constants.slope:.3f}·θ + {constants.intercept:.3f}", fontsize=10)
    _names(ax, free.b, reference.b, np.flatnonzero(~kept), free.item_ids)
    ax.set_xlabel("difficulty in this fit, ±1 SE (logits)")
    ax.set_ylabel("reference difficulty (logits)")
    ax.legend(frameon=False, fontsize=8)
    _quiet(ax)
    return figure


def _points(
    ax: Axes, x: ItemParameters, y: ItemParameters, at: Positions, style: tuple[str, str, str]
) -> None:
    if at.size:
        colour, marker, label = style
        error = np.nan_to_num(x.se_b[at])
        ax.errorbar(
            x.b[at],
            y.b[at],
            xerr=error,
            fmt=marker,
            ms=4,
            color=colour,
            elinewidth=0.7,
            label=f"{label}: {at.size}",
        )


def _names(ax: Axes, x: FloatArray, y: FloatArray, at: Positions, names: Sequence[str]) -> None:
    """Name points, the first ones first; a name that finds no room beside its point is left away."""
    ax.autoscale_view()
    pixels = ax.figure.dpi / 72
    taken: list[Bbox] = []
    points = ax.transData.transform(np.column_stack([x, y]))
    for i in at[:MOST_NAMES]:
        name = _drawable(names[i])
        places = _places(ax, points[i], NAME_POINTS * 0.6 * len(name), taken)
        box = min(places, key=lambda place: place.count_contains(points), default=None)
        if box is not None:
            taken.append(box)
            offset = (box.min - points[i]) / pixels
            ax.annotate(
                name,
                (x[i], y[i]),
                xytext=(offset[0], offset[1]),
                textcoords="offset points",
                fontsize=NAME_POINTS,
                color=GREY,
            )


def _places(ax: Axes, point: FloatArray, width: float, taken: Sequence[Bbox]) -> Iterator[Bbox]:
    """Yield places for a name beside a point that no other name has, in pixels; `width` is in points."""
    pixels, height = ax.figure.dpi / 72, NAME_POINTS * 1.2
    for dx, dy in itertools.product((4, -4 - width), (4, -4 - height)):
        left, low = point + np.multiply((dx, dy), pixels)
        box = Bbox.from_bounds(left, low, width * pixels, height * pixels)
        if ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and not box.count_overlaps(taken):
            yield box


@cache
def _font() -> FT2Font:
    return get_font(findfont(FontProperties(family="DejaVu Sans")))


def _drawable(name: str) -> str:
    """Return a name from the bank as text, never as markup for formulas; □ for what the font has not."""
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return "".join(c if _font().get_char_index(ord(c)) else "□" for c in short).replace("$", r"\$")


def convergence(steps: Sequence[Step], tolerance: float) -> Figure:
    """Draw log-likelihood and largest change, EM step by EM step, and the change at which it ends."""
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    iterations = [step.iteration for step in steps]
    line = "o-" if len(steps) <= MOST_MARKERS else "-"
    left.plot(iterations, [step.loglik for step in steps], line, ms=3, color=BLUE)
    left.set_title("Log-likelihood\n(higher is better)", fontsize=10)
    left.ticklabel_format(useOffset=False)
    right.semilogy(iterations, [step.change for step in steps], line, ms=3, color=BLUE)
    right.axhline(tolerance, color=ORANGE, lw=1, ls="--")
    right.set_title(f"Largest change (logits)\nconverged below {tolerance:g}", fontsize=10)
    for ax in (left, right):
        ax.set_xlabel("EM step")
        ax.xaxis.get_major_locator().set_params(integer=True)
        _quiet(ax)
    return figure


def comparison(now: ItemParameters, last: ItemParameters, largest: int = MOST_NAMES) -> Figure:
    """Draw a and b against those of the last fit, for the same items in the same order; name what moved."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    panels = (("Discrimination a", now.a, last.a), ("Difficulty b (logits)", now.b, last.b))
    for ax, (title, new, old) in zip(figure.subplots(1, 2), panels, strict=True):
        ax.plot(old, new, "o", ms=3, color=BLUE, alpha=0.6)
        low, high = min(old.min(), new.min()), max(old.max(), new.max())
        ax.plot([low, high], [low, high], color=GREY, lw=1, zorder=0)
        change = np.abs(new - old)
        order = np.argsort(-change, kind="stable")[:largest]
        _names(ax, old, new, order[change[order] > NAMED_CHANGE], now.item_ids)
        ax.set_title(f"{title}, {len(new):,} common items", fontsize=10)
        ax.set_xlabel("last fit")
        ax.set_ylabel("this fit")
        _quiet(ax)
    return figure


def _quiet(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
