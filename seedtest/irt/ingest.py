"""Answers from Parquet and CSV files, read in batches: ids become numbers on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from seedtest.errors import DataError
from seedtest.irt.compiled import kernels
from seedtest.irt.parameters import IndexArray
from seedtest.irt.responses import COLUMNS, Responses, sort_rows

ROWS_PER_BATCH = 100_000


@dataclass(frozen=True, eq=False)
class Batch:
    """Some answers: number of the learner and `2·item + correct`, each (n_answers,).

    Ids are numbered as they come: the numbers depend on the order of the rows, `Ids.ranks` does not.
    """

    user: IndexArray
    code: IndexArray


class Ids:
    """The ids of one column, numbered as they come."""

    def __init__(self) -> None:
        # polars forgets categories that no column uses: this one, without rows, keeps them.
        self._categories = pl.Categories.random()
        self._keeper = pl.Series(dtype=pl.Categorical(self._categories))

    def encode(self, column: str) -> pl.Expr:
        """Replace the ids of a column by their numbers; null stays null."""
        text = pl.col(column).cast(pl.String)
        return text.cast(self._keeper.dtype).to_physical().cast(pl.Int32)

    def ranks(self) -> tuple[pl.Series, IndexArray]:
        """Return the ids in order, and the place of each number among them."""
        ids = self._categories.to_series()
        order = ids.arg_sort()
        ranks = np.empty(len(ids), dtype=np.int32)
        ranks[order.to_numpy()] = np.arange(len(ids), dtype=np.int32)
        return ids.gather(order), ranks


def read_responses(path: Path) -> Responses:
    """Read answers with the columns user_id, item_id and correct (true/false or 1/0) from Parquet or CSV.

    `path` may be a folder of Parquet files. Twelve bytes an answer at the peak, and the ids.

    Raises
    ------
    DataError
        For a file of another kind, a missing column, a null, or a verdict that is neither right nor wrong.
    """
    users, items = Ids(), Ids()
    batches = list(read_batches(path, users, items))
    user_ids, user_rank = users.ranks()
    item_ids, item_rank = items.ranks()
    start = np.zeros(len(user_ids) + 1, dtype=np.int64)
    counting = kernels("counting")
    for batch in batches:
        counting.rename(batch.user, batch.code, user_rank, item_rank)
        counting.add_lengths(batch.user, start)
    np.cumsum(start, out=start)
    code = np.empty(int(start[-1]), dtype=np.int32)
    at = start[:-1].copy()
    while batches:
        batch = batches.pop()
        counting.place(batch.user, batch.code, at, code)
    sort_rows(start, code)
    return Responses(tuple(user_ids.to_list()), tuple(item_ids.to_list()), start, code)


def read_batches(path: Path, users: Ids, items: Ids) -> Iterator[Batch]:
    """Read a file's answers batch by batch, numbering ids on the way."""
    frame = _scan(path)
    _require_columns(path, frame.collect_schema())
    coded = frame.select(
        user=users.encode("user_id"), item=items.encode("item_id"), correct=pl.col("correct").cast(pl.Float64)
    )
    for part in coded.collect_batches(chunk_size=ROWS_PER_BATCH, maintain_order=False):
        yield _checked(path, part)


def _scan(path: Path) -> pl.LazyFrame:
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    if path.is_dir():
        return pl.scan_parquet(path / "*.parquet")
    if path.suffix == ".parquet":
        return pl.scan_parquet(path)
    if path.suffix in {".csv", ".gz"}:
        # Ids are text even if they look like numbers: 007 is not 7.
        return pl.scan_csv(path, schema_overrides={"user_id": pl.String, "item_id": pl.String})
    raise DataError(f"{path} is neither .parquet nor .csv nor a folder: answers are read from these.")


def _require_columns(path: Path, schema: pl.Schema) -> None:
    for name in COLUMNS:
        if name not in schema:
            raise DataError(f"{path} needs a column {name}; there are only {', '.join(schema.names())}.")
    if not (schema["correct"].is_numeric() or schema["correct"] == pl.Boolean):
        raise DataError(
            f"Column correct of {path} is {schema['correct']}; it must hold true and false or 1 and 0."
        )


def _checked(path: Path, part: pl.DataFrame) -> Batch:
    for name, column in zip(COLUMNS, part.get_columns(), strict=True):
        if nulls := column.null_count():
            raise DataError(f"Column {name} of {path} is null in {nulls} or more rows; leave these out.")
    correct = part["correct"].to_numpy()
    bad = np.flatnonzero(~((correct == 0) | (correct == 1)))
    if bad.size:
        raise DataError(
            f"Column correct of {path} holds {correct[bad[0]]:g}: an answer is right (1) or wrong (0). "
            "Leave out missing answers and dichotomise partial credit."
        )
    code = 2 * part["item"].to_numpy() + correct.astype(np.int32)
    return Batch(part["user"].to_numpy().copy(), code)
