"""Opening CSV and Parquet files; what is wrong with one is said in a sentence."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from seedtest.errors import DataError

CSV = (".csv", ".csv.gz")
PARQUET = ".parquet"
CAUSE_LENGTH = 300
"""Characters of a library's complaint that a message keeps."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what polars or the system say about a file into a sentence."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        cause = (str(error).strip() or type(error).__name__).splitlines()[0][:CAUSE_LENGTH]
        advice = " Save it as UTF-8." if "utf-8" in cause.lower() and is_csv(path) else ""
        kind = "CSV" if is_csv(path) else "Parquet"
        raise DataError(f"{path} cannot be read as {kind}: {cause.rstrip('.')}.{advice}") from error


def is_csv(path: Path) -> bool:
    """Whether the name says that a file is CSV."""
    return path.name.endswith(CSV)


def scan(path: Path, csv_types: Mapping[str, type[pl.DataType]]) -> pl.LazyFrame:
    """Open a file; a CSV does not tell the types of its columns, so ids must be named as text: 007 is not 7.

    Raises
    ------
    DataError
        Where there is no such file, or one of another kind.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    # A name is no pattern: [1] in it means itself.
    if path.suffix == PARQUET:
        return pl.scan_parquet(path, glob=False)
    if is_csv(path):
        return pl.scan_csv(path, schema_overrides=dict(csv_types), glob=False)
    raise DataError(f"{path} is neither .parquet nor .csv: tables are read from these.")


def require_columns(path: Path, there: Sequence[str], needed: Sequence[str]) -> None:
    """Raise a DataError unless all columns needed are there."""
    for name in needed:
        if name not in there:
            raise DataError(f"{path} needs a column {name}; there are only {', '.join(there)}.")
