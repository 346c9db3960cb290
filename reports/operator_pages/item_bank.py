"""The item bank as operators see it: parameters, what to look at, the fits behind them."""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import polars as pl
from sqlalchemy.engine import Connection

from reports.bank import Bank, load_bank
from reports.operator_pages.bank_review import Review, review_bank
from reports.operator_pages.fits import FitRecord, load_fits_in_force, load_last_fits
from seedtest.db.frames import read_frame
from seedtest.irt.parameters import FloatArray
from seedtest.settings import Settings

ANCHOR_QUERY = "SELECT id FROM question WHERE meta -> 'tags' @> '[\"anchor\"]'"
ABILITY_QUERY = "SELECT theta FROM mirt_ability_latest WHERE version = %(version)s"


@dataclass(frozen=True, eq=False)
class ItemBank:
    """The items in use, with the fit in force.

    Attributes
    ----------
    anchors
        Ids of the questions that the platform tags as anchors.
    theta
        The newest θ of each learner on this scale, (n_users,).
    fit
        The fit in force.
    last_fits
        The last fits of any kind, the newest first.
    """

    bank: Bank
    review: Review
    anchors: frozenset[str]
    theta: FloatArray
    fit: FitRecord
    last_fits: tuple[FitRecord, ...]

    @cached_property
    def flags_of(self) -> dict[str, list[str]]:
        """The flags of each item that has any, the most serious first."""
        grouped = self.review.flags.group_by("item_id", maintain_order=True).agg("flag")
        return {item_id: list(dict.fromkeys(flags)) for item_id, flags in grouped.iter_rows()}

    @cached_property
    def flagged(self) -> list[int]:
        """Places of the flagged items among the bank's, the most serious first."""
        flagged = pl.Series(list(self.flags_of), dtype=pl.String)
        return [at for at in self.bank.items.index_of(flagged).tolist() if at >= 0]


def load_item_bank(connection: Connection, settings: Settings) -> ItemBank | None:
    """Read the item bank and review it; None before the first fit, or where no fit left an item."""
    bank = load_bank(connection, dt.date.max)
    if bank.linked is None or not len(bank.items):
        return None
    fit, *before = load_fits_in_force(connection, bank.version)
    return ItemBank(
        bank=bank,
        review=review_bank(connection, bank, fit, next(iter(before), None), settings),
        anchors=frozenset(read_frame(connection, ANCHOR_QUERY, {"id": pl.String})["id"]),
        theta=read_frame(connection, ABILITY_QUERY, {"theta": pl.Float64}, {"version": bank.version})[
            "theta"
        ].to_numpy(),
        fit=fit,
        last_fits=load_last_fits(connection),
    )
