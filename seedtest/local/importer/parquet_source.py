"""Parquet files: the rows as text, in batches of bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from seedtest.errors import ImportFileError
from seedtest.local.importer.model import Batch


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file; its lines are its rows, from 1."""

    path: Path
    schema: pl.Schema
    total: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of single values; lists and structures are no answer's."""
        return tuple(
            name for name, kind in self.schema.items() if not (kind.is_nested() or kind == pl.Binary)
        )

    def batches(self, batch_rows: int) -> Iterator[Batch]:
        """Read `batch_rows` rows at a time; only the row groups of a slice are read."""
        rows = pl.scan_parquet(self.path).select(_as_text(name, self.schema[name]) for name in self.columns)
        for start in range(0, self.total, batch_rows):
            try:
                frame = rows.slice(start, batch_rows).collect(engine="streaming")
            except PolarsError as error:
                raise _unreadable(self.path, error) from error
            lines = pl.int_range(start + 1, start + 1 + frame.height, dtype=pl.Int64, eager=True).alias(
                "line"
            )
            yield Batch(lines, frame, (), start + frame.height)


def open_parquet(path: Path) -> ParquetSource:
    """Read the schema and the number of rows of a Parquet file."""
    try:
        schema = pl.read_parquet_schema(path)
        total = pl.scan_parquet(path).select(pl.len()).collect().item()
    except PolarsError as error:
        raise _unreadable(path, error) from error
    return ParquetSource(path, pl.Schema(schema), total)


def _unreadable(path: Path, error: PolarsError) -> ImportFileError:
    return ImportFileError(f"{path} is not a readable Parquet file: {error}.")


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    """Return a column as the text that a CSV file would hold."""
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        offset = "%:z" if kind.time_zone else ""
        return column.dt.to_string(f"%Y-%m-%dT%H:%M:%S%.6f{offset}")
    if kind.is_float():
        # Integers become floats wherever a table had gaps; 7.0 means item 7.
        return (
            pl.when(column == column.floor())
            .then(column.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(column.cast(pl.String))
            .alias(name)
        )
    return column.cast(pl.String)
