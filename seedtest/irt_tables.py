"""Items and abilities as tables in CSV and Parquet files."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from seedtest.errors import DataError
from seedtest.irt import THIN_ITEM_PRIORS, Abilities, Calibration, ExclusionKind, ItemParameters
from seedtest.irt.parameters import FloatArray
from seedtest.irt.sources import explained, require_columns, scan

FORMATS: Final = (".csv", ".parquet")
NUMBERS: Final = ("a", "b", "c", "se_a", "se_b", "se_c")
FLAG_SEPARATOR = "; "
ABILITIES: Final = {"user_id": pl.String, "theta": pl.Float64, "se": pl.Float64, "n": pl.Int64}


def items_frame(fit: Calibration, anchors: ItemParameters | None = None) -> pl.DataFrame:
    """All items of a calibration, those left out too, as they are written; `anchors` were held in it."""
    items = fit.items
    numbers = {name: pl.Series(getattr(items, name)).fill_nan(None) for name in NUMBERS}
    kept = pl.DataFrame({"item_id": items.item_ids, **numbers, "n": items.n, "flags": _flags(fit, anchors)})
    out = [one for one in fit.exclusions if one.kind is ExclusionKind.ITEM]
    left_out = pl.DataFrame(
        {
            "item_id": [one.id for one in out],
            "n": [one.n for one in out],
            "flags": [f"left out: {one.reason}" for one in out],
        },
        schema={"item_id": pl.String, "n": pl.Int64, "flags": pl.String},
    )
    return pl.concat([kept, left_out], how="diagonal").sort("item_id")


def _flags(fit: Calibration, anchors: ItemParameters | None) -> list[str]:
    few = THIN_ITEM_PRIORS.below_n or 0
    held = np.zeros(len(fit.items)) if anchors is None else anchors.index_of(fit.items.item_ids) >= 0
    flags = []
    for model, n, error, is_held in zip(fit.item_models, fit.items.n, fit.items.se_b, held, strict=True):
        reasons = {
            "anchor: held": is_held,
            "prior on a and b: few answers": not is_held and model in {"2PL", "3PL"} and n < few,
            "prior on a and c": not is_held and model == "3PL",
            "standard error unknown": np.isnan(error),
        }
        flags.append(FLAG_SEPARATOR.join(reason for reason, applies in reasons.items() if applies))
    return flags


def read_items(path: Path) -> ItemParameters:
    """Read item parameters as `items_frame` has them, exactly; items left out are left out.

    Columns item_id, a and b; c may be missing (0), and so may n and the errors.

    Raises
    ------
    DataError
        For a file that cannot be read, a missing column, a value that is no number, or none usable.
    """
    with explained(path):
        frame = scan(path, {"item_id": pl.String} | dict.fromkeys((*NUMBERS, "n"), pl.Float64)).collect()
    require_columns(path, frame.columns, ("item_id", "a", "b"))
    for name in {*NUMBERS, "n"}.intersection(frame.columns):
        if not (frame[name].dtype.is_numeric() or frame[name].null_count() == len(frame)):
            raise DataError(f"Column {name} of {path} is {frame[name].dtype}; it must hold numbers.")
    usable = frame.filter(pl.all_horizontal(pl.col("item_id", "a", "b").is_not_null()))
    if usable.is_empty():
        raise DataError(f"{path} holds no item with a and b.")
    return _parameters(usable)


def _parameters(frame: pl.DataFrame) -> ItemParameters:
    def column(name: str, missing: float) -> FloatArray:
        if name not in frame.columns:
            return np.full(len(frame), missing)
        return frame[name].cast(pl.Float64).fill_null(missing).to_numpy().copy()

    values = {name: column(name, math.nan) for name in NUMBERS}
    values["c"] = column("c", 0.0)
    return ItemParameters(
        tuple(frame["item_id"].cast(pl.String).to_list()), **values, n=column("n", 0).astype(np.int64)
    )


def abilities_frame(parts: Iterable[Abilities]) -> pl.DataFrame:
    """Abilities as they are written."""
    frames = [
        pl.DataFrame(
            {"user_id": part.user_ids, "theta": part.theta, "se": part.se, "n": part.n}, schema=ABILITIES
        )
        for part in parts
    ]
    together = pl.concat([pl.DataFrame(schema=ABILITIES), *frames])
    return together.with_columns(pl.col("theta", "se").fill_nan(None))


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a table as its name says: every digit, and ids that read back as they are."""
    with written(path):
        if path.suffix == ".parquet":
            frame.write_parquet(path)
        else:
            frame.write_csv(path)


def write_text(text: str, path: Path) -> None:
    """Write a text in UTF-8."""
    with written(path):
        path.write_text(text, encoding="utf-8")


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Turn what keeps a file from being written into a sentence."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be written: {error}.") from error


def require_outputs(tables: Sequence[Path], others: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Say before the work what would fail after it, and write over nothing that is read."""
    for path in tables:
        if path.suffix not in FORMATS:
            raise DataError(f"{path} cannot be written: its name must end in .csv or .parquet.")
    taken = {path.resolve() for path in inputs}
    for path in (*tables, *others):
        if reason := _obstacle(path):
            raise DataError(f"{path} cannot be written: {reason}.")
        if path.resolve() in taken:
            raise DataError(
                f"{path} is named twice: what is read and what is written needs files of its own."
            )
        taken.add(path.resolve())


def _obstacle(path: Path) -> str | None:
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    if path.is_dir():
        return "it is a folder"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return "this user may not write there"
    return None
