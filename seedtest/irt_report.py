"""A calibration of files on one screen."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from seedtest.irt_summary import FitSummary

NAMES = {
    "a": "discrimination a",
    "b": "difficulty b",
    "c": "lower asymptote c",
    "se_b": "standard error of b",
    "theta": "ability θ",
    "se": "standard error of θ",
}


def render(found: FitSummary) -> RenderableType:
    """Return how the fit ended, what was estimated, and what was left out."""
    verdict = "converged" if found.converged else "did NOT converge"
    head = Text(
        f"{found.model} {verdict} in {found.n_iterations} iterations ({found.seconds:.2f} s)",
        style="bold" if found.converged else "bold red",
    )
    return Group(head, _facts(found), _spreads(found), *_remarks(found))


def _facts(found: FitSummary) -> Table:
    anchored = f", {found.n_anchors:,} of them anchors (held)" if found.n_anchors else ""
    facts = {
        "items": f"{found.n_items:,}{anchored}",
        "learners": f"{found.n_users:,}",
        "answers": f"{found.n_observations:,}",
        "log-likelihood": f"{found.loglik:,.3f}",
        "AIC, BIC": f"{found.aic:,.1f}, {found.bic:,.1f} ({found.n_parameters:,} parameters)",
        "ability": f"mean {found.prior_mean:.3f}, standard deviation {found.prior_sd:.3f}",
        "reliability": f"{found.reliability:.3f}",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(f"  {name}", value)
    return table


def _spreads(found: FitSummary) -> Table:
    table = Table(box=None, padding=(0, 2))
    table.add_column("")
    for name in ("least", "median", "greatest"):
        table.add_column(name, justify="right")
    for name, spread in found.spreads.items():
        if name == "c" and spread.greatest == 0:
            continue
        table.add_row(
            NAMES[name], *(f"{value:.3f}" for value in (spread.least, spread.median, spread.greatest))
        )
    return table


def _remarks(found: FitSummary) -> list[Text]:
    lines = [
        f"left out: {counted(count, kind)}: {reason}"
        for kind, reasons in found.exclusions.items()
        for reason, count in reasons.items()
    ]
    if found.n_repeated:
        lines.append(
            f"{counted(found.n_repeated, 'answer')} repeat an item the learner had answered; each counts"
        )
    return [Text(f"  {line}") for line in (*lines, found.connectivity)]


def counted(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
