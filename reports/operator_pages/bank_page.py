"""The page of the item bank: what to look at, how well it measures, curves, linking, parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

import numpy as np
import polars as pl
from markupsafe import Markup

from reports.figures import Figure
from reports.figures.curves import bank_precision, item_curves
from reports.figures.histogram import Distribution, histogram
from reports.markdown import Markdown
from reports.operator_pages.bank_review import Compared
from reports.operator_pages.documents import NOT_KNOWN, TEXTS, Named, pm, rendered
from reports.operator_pages.figures import characteristic_curves, information_curves, old_against_new
from reports.operator_pages.fits import FitRecord
from reports.operator_pages.item_bank import ItemBank
from reports.operator_pages.tables import Cell, Column, Group, Kind, folded_tables, table
from seedtest.report_keys import INDEX_FOLDER
from seedtest.version import code_version

SOURCE = "item_bank.qmd"
FOLDER = f"{INDEX_FOLDER}item-bank/"
INDEX_KEY = f"{FOLDER}index.html"
MOST_CURVES = 24
"""Flagged items drawn one by one, about 15 kB each; the tables hold all."""
MOST_COMPARED = 15
"""Largest changes that stand beside the figure; the others are folded."""
MOST_FOLDED = 500
MOST_FLAGS = 500
"""Items of one flag that are listed; all are counted, and marked in the tables by topic."""
FEW = 10
"""So many flagged items of a kind or fewer are shown at once."""
NO_TOPIC = "Without a topic"


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the page shows; None where there is nothing to draw."""

    precision: Figure | None
    theta: Figure | None
    difficulty: Figure | None
    characteristic: Figure
    information: Figure
    compared: Figure | None
    items: tuple[Figure, ...]

    def drawn(self) -> list[Figure]:
        single = (
            self.precision,
            self.theta,
            self.difficulty,
            self.characteristic,
            self.information,
            self.compared,
        )
        return [*(figure for figure in single if figure is not None), *self.items]


def fit_key(run_id: str) -> str:
    """Return where the page's copy of a fit lies in the bucket."""
    return f"{FOLDER}{quote(run_id, safe=':')}.html"


def bank_page(page: ItemBank) -> bytes:
    """Return the page."""
    bank, figures = page.bank, _draw(page)
    compared = page.review.compared
    return rendered(
        SOURCE,
        figures.drawn(),
        page.fit.fitted_at,
        page=page,
        bank=bank,
        lead=_lead(page),
        n_anchors=sum(item_id in page.anchors for item_id in bank.items.item_ids),
        flag_groups=_flag_groups(page.review.flags),
        waiting_line=_waiting_line(page.review.n_waiting),
        dropped_table=_dropped_table(page.fit.dropped) if page.fit.dropped else None,
        precision_figure=figures.precision,
        theta_figure=figures.theta,
        difficulty_figure=figures.difficulty,
        characteristic_figure=figures.characteristic,
        information_figure=figures.information,
        item_figures=figures.items,
        drawn_line=_drawn_line(len(figures.items), len(page.flagged)),
        compared_figure=figures.compared,
        compared_line=_compared_line(compared) if compared else None,
        compared_tables=_compared_tables(compared) if compared else None,
        fit_table=_fit_table(page.last_fits),
        item_groups=_item_groups(page),
        data_rows=_data_rows(page),
    )


def _draw(page: ItemBank) -> _Figures:
    items, flagged, compared = page.bank.items, page.flagged, page.review.compared
    return _Figures(
        precision=bank_precision(items, TEXTS),
        theta=histogram(Distribution("theta", "θ of the learners (logits)", page.theta), TEXTS),
        difficulty=histogram(
            Distribution("difficulty", "Difficulty b of the items (logits)", items.b), TEXTS
        ),
        characteristic=characteristic_curves(items, flagged, TEXTS),
        information=information_curves(items, flagged, TEXTS),
        compared=old_against_new(compared, TEXTS) if compared and not compared.is_held else None,
        items=tuple(
            replace(item_curves(items, at, TEXTS), name=f"item-{number}")
            for number, at in enumerate(flagged[:MOST_CURVES], start=1)
        ),
    )


def _lead(page: ItemBank) -> str:
    n, flagged = len(page.bank.items), len(page.flagged)
    if not flagged:
        return f"{TEXTS.number(n, 0)} items; none of them stands out."
    return f"{TEXTS.number(flagged, 0)} of {TEXTS.number(n, 0)} items should be looked at."


def _flag_groups(flags: pl.DataFrame) -> Markdown:
    """Return the flags by kind and what to do, the most serious first; kinds of a few items are open."""
    columns = [Column("Item"), Column("Why", Kind.TEXT), Column("Answers", Kind.NUMBER)]
    kinds = flags.partition_by("flag", "what_to_do", maintain_order=True)
    return folded_tables("Flagged", columns, [_flag_group(kind) for kind in kinds])


def _flag_group(kind: pl.DataFrame) -> Group:
    flag, advice = kind.select("flag", "what_to_do").row(0)
    rows: list[list[Cell]] = [
        [item_id, detail, TEXTS.number(answers, 0)]
        for item_id, detail, answers in kind.select("item_id", "detail", "answers")
        .head(MOST_FLAGS)
        .iter_rows()
    ]
    cut = f", of which the first {MOST_FLAGS} are listed" if kind.height > MOST_FLAGS else ""
    counted = f"{kind.height:,} item{'' if kind.height == 1 else 's'}{cut}"
    return Group(f"{flag.capitalize()}: {counted}. {advice}", rows, is_open=len(rows) <= FEW)


def _tag(text: str) -> Markup:
    return Markup('<span class="tag flag">{}</span>').format(text)


def _waiting_line(n: int) -> str:
    items = "item was" if n == 1 else "items were"
    return f"{TEXTS.number(n, 0)} more {items} answered too rarely to be calibrated; that is in order."


def _dropped_table(dropped: Mapping[str, int]) -> Markdown:
    rows = [[reason, TEXTS.number(n, 0)] for reason, n in dropped.items()]
    return table(
        "Left out by the fit in force, and why", [Column("What"), Column("Number", Kind.NUMBER)], rows
    )


def _drawn_line(n_drawn: int, n_flagged: int) -> str:
    if n_drawn == n_flagged:
        return "All flagged items of the bank, the most serious first; the dot is b with its standard error."
    return (
        f"The first {TEXTS.number(n_drawn, 0)} of {TEXTS.number(n_flagged, 0)} flagged items, the most "
        "serious first; the tables hold all. The dot is b with its standard error."
    )


def _compared_line(compared: Compared) -> str:
    reference = "anchors" if compared.is_anchors else "items of the fit before"
    used, dropped = len(compared.linking.used_ids), len(compared.linking.dropped)
    said = f"{TEXTS.number(used, 0)} {reference} carry the linking, {TEXTS.number(dropped, 0)} do not."
    return said if compared.linking.reason is None else f"{said} There is none: {compared.linking.reason}."


def _compared_tables(compared: Compared) -> tuple[Markdown, Markdown | None]:
    """Return the items with the largest changes, and the others folded."""
    change = compared.now.b - compared.reference.b
    order = np.argsort(-np.abs(change), kind="stable").tolist()
    kind = "Anchors" if compared.is_anchors else "Items of the fit before"
    cut = f" (the {MOST_COMPARED} largest changes of {len(order):,})" if len(order) > MOST_COMPARED else ""
    columns = [Column(title, Kind.NUMBER) for title in ("b old", "b new", "Change ± SE")]
    columns = [Column("Item"), *columns, Column("Carries the linking")]
    rows = [_compared_row(compared, at) for at in order[: MOST_COMPARED + MOST_FOLDED]]
    first = table(f"{kind}, old against new{cut}", columns, rows[:MOST_COMPARED])
    if len(order) <= MOST_COMPARED:
        return first, None
    others = Group(f"{len(rows) - MOST_COMPARED:,} with smaller changes", rows[MOST_COMPARED:])
    return first, folded_tables(f"{kind}, old against new", columns, [others])


def _compared_row(compared: Compared, at: int) -> list[Cell]:
    item_id, now, reference = compared.now.item_ids[at], compared.now, compared.reference
    error = float(np.hypot(np.nan_to_num(now.se_b[at]), np.nan_to_num(reference.se_b[at])))
    carries = "yes" if item_id in compared.used else "no"
    return [
        item_id,
        TEXTS.number(reference.b[at]),
        TEXTS.number(now.b[at]),
        f"{TEXTS.number(now.b[at] - reference.b[at], signed=True)} ± {TEXTS.number(error)}",
        _tag(f"{carries}, drifts") if item_id in compared.drifting else carries,
    ]


def _fit_table(fits: Sequence[FitRecord]) -> Markdown:
    names = ("Items", "Learners", "Answers", "A", "B", "Anchors")
    columns = [Column("Fit"), Column("Model"), Column("Scale"), Column("Converged")]
    columns += [Column(title, Kind.NUMBER) for title in names]
    columns += [Column("Linking", Kind.TEXT)]
    return table("The last fits, the newest first", columns, [_fit_row(fit) for fit in fits])


def _fit_row(fit: FitRecord) -> list[Cell]:
    reason = f": {fit.reason}" if fit.reason and fit.slope is None else ""
    return [
        fit.run_id + ("" if fit.in_force else " (not in force)"),
        fit.model or NOT_KNOWN,
        fit.version or NOT_KNOWN,
        {True: "yes", False: "no", None: NOT_KNOWN}[fit.converged],
        *(_whole(n) for n in (fit.n_items, fit.n_users, fit.n_observations)),
        NOT_KNOWN if fit.slope is None else TEXTS.number(fit.slope, 4),
        NOT_KNOWN if fit.intercept is None else TEXTS.number(fit.intercept, 4, signed=True),
        _whole(fit.n_anchors),
        f"{fit.method or 'none'}, by {fit.scale or 'an unknown scale'}{reason}",
    ]


def _whole(n: int | None) -> str:
    return NOT_KNOWN if n is None else TEXTS.number(n, 0)


def _item_groups(page: ItemBank) -> Markdown:
    bank = page.bank
    without = np.flatnonzero([topic_id is None for topic_id in bank.topic_ids]).astype(np.int32)
    topics = [(topic_id, places.tolist()) for topic_id, places in sorted(bank.by_topic.items())]
    if len(without):
        topics.append((NO_TOPIC, without.tolist()))
    columns = [Column("Item")]
    columns += [Column(title, Kind.NUMBER) for title in ("a ± SE", "b ± SE", "c ± SE", "n")]
    columns += [Column("Remarks")]
    groups = [_topic(page, topic_id, places) for topic_id, places in topics]
    return folded_tables("Items", columns, groups)


def _topic(page: ItemBank, topic_id: str, places: Sequence[int]) -> Group:
    ids = page.bank.items.item_ids
    ordered = sorted(places, key=lambda at: (ids[at] not in page.flags_of, ids[at]))
    n_flagged = sum(ids[at] in page.flags_of for at in places)
    counted = f"{len(places):,} item{'' if len(places) == 1 else 's'}"
    flagged = f", {n_flagged:,} to look at" if n_flagged else ""
    return Group(f"{topic_id} ({counted}{flagged})", [_item_row(page, at) for at in ordered])


def _item_row(page: ItemBank, at: int) -> list[Cell]:
    items = page.bank.items
    item_id = items.item_ids[at]
    flags = Markup().join(_tag(flag) for flag in page.flags_of.get(item_id, ()))
    anchor = Markup('<span class="tag">anchor</span>') if item_id in page.anchors else Markup()
    return [
        item_id,
        pm(items.a[at], items.se_a[at]),
        pm(items.b[at], items.se_b[at]),
        pm(items.c[at], items.se_c[at]) if items.c[at] > 0 else "0",
        TEXTS.number(int(items.n[at]), 0) if items.n[at] else NOT_KNOWN,
        flags + anchor,
    ]


def _data_rows(page: ItemBank) -> list[Named]:
    fit, prior = page.fit, page.bank.prior
    days = f"{fit.first_day} to {fit.last_day}" if fit.first_day and fit.last_day else NOT_KNOWN
    return [
        Named("Fit in force", fit.run_id),
        Named("Days of its answers", days),
        Named(
            "Distribution of θ",
            f"mean {TEXTS.number(prior.mean)}, standard deviation {TEXTS.number(prior.sd)}",
        ),
        Named("Code", code_version()),
    ]
