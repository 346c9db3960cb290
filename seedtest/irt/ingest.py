"""Answers from Parquet and CSV files, read in batches: ids become numbers on the way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from seedtest.errors import DataError
from seedtest.irt.ahead import in_order
from seedtest.irt.compiled import kernels
from seedtest.irt.parameters import IndexArray
from seedtest.irt.responses import COLUMNS, Responses, sort_rows
from seedtest.irt.sources import explained, is_csv, require_columns, scan

ROWS_PER_BATCH = 2_000_000
READ_AHEAD = 1
"""Batches that are decoded while one is worked on."""

TEXT = {"user_id": pl.String, "item_id": pl.String}

OnRead = Callable[[int, int | None], None]
"""Called after every batch with the answers read so far and all there are (None: a CSV does not say)."""


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


def read_responses(path: Path, on_read: OnRead | None = None) -> Responses:
    """Read answers with the columns user_id, item_id and correct (true/false or 1/0) from Parquet or CSV.

    `path` may be a folder of Parquet files. Twelve bytes an answer at the peak, and the ids.

    Raises
    ------
    DataError
        For a file that cannot be read or is of another kind, a missing column, a null, or a verdict that is
        neither right nor wrong.
    """
    users, items = Ids(), Ids()
    batches = list(read_batches(path, users, items, on_read=on_read))
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


def read_batches(
    path: Path,
    users: Ids,
    items: Ids,
    *,
    rows_per_batch: int = ROWS_PER_BATCH,
    on_read: OnRead | None = None,
) -> Iterator[Batch]:
    """Read a file's answers batch by batch, numbering ids on the way."""
    n_read, sources = 0, [_Source.opened(file) for file in _files(path)]
    known = [source.n_rows for source in sources if source.n_rows is not None]
    total = sum(known) if len(known) == len(sources) else None
    for source in sources:
        for part in source.parts(users, items, rows_per_batch):
            yield _checked(source.path, part)
            n_read += part.height
            if on_read is not None:
                on_read(n_read, total)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise DataError(f"There is no .parquet file in the folder {path}.")
    return files


@dataclass(frozen=True, eq=False)
class _Source:
    """One file of answers, whose columns have been looked at; a CSV does not say how many rows it has."""

    path: Path
    frame: pl.LazyFrame
    is_boolean: bool
    n_rows: int | None

    @classmethod
    def opened(cls, path: Path) -> "_Source":
        frame = scan(path, TEXT)
        with explained(path):
            schema = frame.collect_schema()
            require_columns(path, schema.names(), COLUMNS)
            _require_verdicts(path, frame, schema["correct"])
            if is_csv(path) and schema["correct"].is_integer():
                # The first rows are no promise: a 0.5 further down is to be found, not to stop the reader.
                frame = scan(path, TEXT | {"correct": pl.Float64})
            n_rows = None if is_csv(path) else int(frame.select(pl.len()).collect().item())
        return cls(path, frame, schema["correct"] == pl.Boolean, n_rows)

    def parts(self, users: Ids, items: Ids, rows_per_batch: int) -> Iterator[pl.DataFrame]:
        """Read the columns user and item (numbers) and correct, some rows at a time."""
        correct = pl.col("correct")
        columns = {
            "user": users.encode("user_id"),
            "item": items.encode("item_id"),
            "correct": correct if self.is_boolean else correct.cast(pl.Float64),
        }
        with explained(self.path):
            if self.n_rows is None:
                frame = self.frame.select(**columns)
                yield from frame.collect_batches(chunk_size=rows_per_batch, maintain_order=False)
            else:
                yield from self._slices(columns, rows_per_batch, self.n_rows)

    def _slices(self, columns: dict[str, pl.Expr], rows: int, n_rows: int) -> Iterator[pl.DataFrame]:
        # collect_batches reads ahead as many row groups as it likes: with large ones, the whole file.
        slices = (self.frame.slice(first, rows).select(**columns) for first in range(0, n_rows, rows))
        yield from in_order((part.collect for part in slices), READ_AHEAD)


def _require_verdicts(path: Path, frame: pl.LazyFrame, dtype: pl.DataType) -> None:
    # A CSV of a header alone has a column of text, without any.
    if dtype.is_numeric() or dtype == pl.Boolean or frame.head(1).collect().is_empty():
        return
    raise DataError(f"Column correct of {path} is {dtype}; it must hold true and false or 1 and 0.")


def _checked(path: Path, part: pl.DataFrame) -> Batch:
    for name, column in zip(COLUMNS, part.get_columns(), strict=True):
        if nulls := column.null_count():
            raise DataError(f"Column {name} of {path} is null in {nulls} or more rows; leave these out.")
    correct = part["correct"]
    if correct.dtype != pl.Boolean:
        bad = correct.filter((correct != 0) & (correct != 1))
        if not bad.is_empty():
            raise DataError(
                f"Column correct of {path} holds {bad[0]:g}: an answer is right (1) or wrong (0). "
                "Leave out missing answers and dichotomise partial credit."
            )
    code = part.select(2 * pl.col("item") + pl.col("correct").cast(pl.Int32)).to_series()
    return Batch(part["user"].to_numpy(writable=True), code.to_numpy(writable=True))
