"""CSV files: the header, and the rows below it in batches of bounded memory."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedtest.errors import ImportFileError
from seedtest.local.importer.csv_records import Records, Shape, is_encodable, read_records, split_header
from seedtest.local.importer.model import Batch

DELIMITERS = (",", ";", "\t")
# A guess that only sets how much text is read at once.
CHARACTERS_PER_ROW = 64
# Text without a line end up to this length may still be a row; beyond, the file is no table.
MAX_LINE_CHARACTERS = 16 * 2**20


@dataclass(frozen=True)
class CsvSource:
    """A delimited text file with a header."""

    path: Path
    encoding: str
    delimiter: str
    columns: tuple[str, ...]

    @property
    def total(self) -> int:
        """Size in bytes."""
        return self.path.stat().st_size

    def batches(self, batch_rows: int) -> Iterator[Batch]:
        """Read the rows below the header, about `batch_rows` at a time."""
        try:
            yield from self._blocks(batch_rows)
        except UnicodeError as error:
            raise _not_text(self.path, self.encoding, error) from error

    def _blocks(self, batch_rows: int) -> Iterator[Batch]:
        shape = Shape(self.delimiter, len(self.columns))
        with self.path.open("rb") as raw, _decode(raw, self.encoding) as text:
            text.readline()
            pending, first_line = "", 2
            while block := text.read(batch_rows * CHARACTERS_PER_ROW):
                lines = _lines(pending + block)
                open_line = "" if lines[-1].endswith("\n") else lines.pop()
                records = read_records(lines, first_line, shape, is_last=False)
                yield self._batch(records, raw.tell())
                first_line += records.used_lines
                pending = "".join(lines[records.used_lines :]) + open_line
                self._require_line_end(pending, first_line)
            yield self._batch(read_records(_lines(pending), first_line, shape, is_last=True), raw.tell())

    def _batch(self, records: Records, done: int) -> Batch:
        fields = zip(*records.rows, strict=True) if records.rows else ([] for _ in self.columns)
        texts = [
            pl.Series(name, values, pl.String) for name, values in zip(self.columns, fields, strict=True)
        ]
        lines = pl.Series("line", records.numbers, pl.Int64)
        return Batch(lines, pl.DataFrame(texts), tuple(records.rejects), done)

    def _require_line_end(self, pending: str, line: int) -> None:
        if len(pending) > MAX_LINE_CHARACTERS:
            raise ImportFileError(
                f"{self.path}: line {line} is longer than {MAX_LINE_CHARACTERS:,} characters. "
                "This is no table of answers, or its line ends were lost."
            )


def open_csv(path: Path, encoding: str) -> CsvSource:
    """Read the header of a CSV file: its delimiter and its columns."""
    header = _read_header(path, encoding)
    if not is_encodable(header) or "\0" in header:
        raise ImportFileError(
            f"{path} is not CSV in {encoding}: its first line holds bytes that are no text. "
            "Export it as CSV in UTF-8, or name its encoding with --encoding."
        )
    try:
        delimiter, names = split_header(header, DELIMITERS)
    except csv.Error as error:
        raise ImportFileError(f"{path}: the first line is no CSV header: {error}.") from error
    return CsvSource(path, encoding, delimiter, _columns(names, path))


def _read_header(path: Path, encoding: str) -> str:
    try:
        with path.open("rb") as raw, _decode(raw, encoding) as text:
            return text.readline(MAX_LINE_CHARACTERS)
    except LookupError as error:
        raise ImportFileError(
            f"{path}: there is no encoding named {encoding!r}. Try utf-8 or windows-1252."
        ) from error
    except UnicodeError as error:
        raise _not_text(path, encoding, error) from error


def _not_text(path: Path, encoding: str, error: UnicodeError) -> ImportFileError:
    return ImportFileError(f"{path} is not text in {encoding}: {error}. Name its encoding with --encoding.")


def _decode(raw: io.BufferedReader, encoding: str) -> io.TextIOWrapper:
    """Decode so that invalid bytes survive as lone surrogates: they spoil a row, not the file."""
    return io.TextIOWrapper(raw, encoding, errors="surrogateescape")


def _lines(text: str) -> list[str]:
    """Split after line feeds alone; str.splitlines knows other line ends too."""
    return io.StringIO(text).readlines() or [""]


def _columns(header: list[str], path: Path) -> tuple[str, ...]:
    names = [name.strip() for name in header]
    if not any(names):
        raise ImportFileError(f"{path}: the first line is blank. It must name the columns.")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ImportFileError(f"{path} has two columns named {twice[0]!r}. Rename one of them.")
    return tuple(name or f"column {position}" for position, name in enumerate(names, 1))
