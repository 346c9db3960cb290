"""A calibration as pictures: parameters and abilities, anchors, convergence, change since the last fit."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

from seedtest.irt import Abilities, ItemParameters, LinkingConstants, Prior
from seedtest.irt.parameters import BoolArray, FloatArray

# Okabe & Ito's (2008) palette: told apart by every kind of colour vision.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
DOTS_PER_INCH = 110
MOST_NAMES = 8
"""More names than this beside points of a plot cover each other."""


Positions = NDArray[np.signedinteger]


@dataclass(frozen=True, slots=True)
class Step:
    """One EM step: the log-likelihood it started from and the largest change it made (logits)."""

    iteration: int
    loglik: float
    change: float


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
    figure = Figure(figsize=(3 * (len(panels) + 1), 2.8), layout="constrained")
    axes = figure.subplots(1, len(panels) + 1, squeeze=False)[0]
    for ax, (title, values) in zip(axes, panels, strict=False):
        _histogram(ax, title, values, "items")
    _histogram(axes[-1], "Ability θ (logits)", abilities.theta, "learners", density=True)
    theta = prior.mean + prior.sd * np.linspace(-3.5, 3.5, 200)
    axes[-1].plot(theta, norm.pdf(theta, prior.mean, prior.sd), color=ORANGE)
    axes[-1].set_ylabel("density")
    return figure


def _histogram(ax: Axes, title: str, values: FloatArray, what: str, *, density: bool = False) -> None:
    ax.hist(values, bins="auto" if len(values) < 10_000 else 80, color=BLUE, density=density)
    ax.set_title(f"{title}\n{len(values):,} {what}", fontsize=10)
    ax.set_ylabel(what)
    _quiet(ax)


def linking(
    free: ItemParameters, reference: ItemParameters, kept: BoolArray, constants: LinkingConstants | None
) -> Figure:
    """Draw anchors' old difficulty against that of the free fit, and the line that the constants are.

    `free` and `reference` are the same items in the same order, `kept` says which carried the linking; the
    others are named.
    """
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    ax = figure.subplots()
    for chosen, colour, marker, label in ((kept, BLUE, "o", "used"), (~kept, ORANGE, "s", "dropped")):
        _points(ax, free, reference, np.flatnonzero(chosen), (colour, marker, label))
    _names(ax, free.b, reference.b, np.flatnonzero(~kept), free.item_ids)
    if constants is not None and len(free):
        b = np.array([free.b.min(), free.b.max()])
        ax.plot(b, constants.slope * b + constants.intercept, color=GREY, lw=1, zorder=0)
        ax.set_title(f"θ' = {constants.slope:.3f}·θ + {constants.intercept:.3f}", fontsize=10)
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
    for i in at[:MOST_NAMES]:
        # A name from the bank is text, never markup for formulas.
        ax.annotate(
            names[i].replace("$", r"\$"),
            (x[i], y[i]),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
            color=GREY,
        )


def convergence(steps: Sequence[Step], tolerance: float) -> Figure:
    """Draw log-likelihood and largest change, EM step by EM step, and the change at which it ends."""
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    iterations = [step.iteration for step in steps]
    left.plot(iterations, [step.loglik for step in steps], "o-", ms=3, color=BLUE)
    left.set_title("Log-likelihood", fontsize=10)
    left.ticklabel_format(useOffset=False)
    right.semilogy(iterations, [step.change for step in steps], "o-", ms=3, color=BLUE)
    right.axhline(tolerance, color=ORANGE, lw=1, ls="--", label=f"converged below {tolerance:g}")
    right.set_title("Largest change (logits)", fontsize=10)
    right.legend(frameon=False, fontsize=8)
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
        _names(ax, old, new, order[change[order] > 0], now.item_ids)
        ax.set_title(f"{title}, {len(new):,} common items", fontsize=10)
        ax.set_xlabel("last fit")
        ax.set_ylabel("this fit")
        _quiet(ax)
    return figure


def _quiet(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
