"""Records of CSV text with their line numbers; a broken record costs no other record."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from seedtest.local.importer.model import Reject

# How many lines a quoted field may span before its quote counts as one that nobody closed.
MAX_RECORD_LINES = 1000
UNDECODABLE = "bytes that are not text in the file's encoding"
UNCLOSED = "a quote is opened and not closed"


@dataclass(frozen=True)
class Shape:
    """How a file's fields are told apart, and how many a record has."""

    delimiter: str
    width: int


@dataclass(frozen=True)
class Records:
    """Records, the line each begins on, those that are none, and how many lines they took."""

    rows: list[list[str]]
    numbers: list[int]
    used_lines: int
    rejects: list[Reject] = field(default_factory=list)


def read_records(lines: list[str], first_line: int, shape: Shape, *, is_last: bool) -> Records:
    """Read the records in whole lines; unless these are the last, an open end is left unused."""
    records = _read_plain(lines, first_line, shape)
    if records is None:
        records = _read_carefully(lines, first_line, shape, is_last=is_last)
    if is_encodable("".join(lines)) and set(map(len, records.rows)) <= {shape.width}:
        return records
    return _set_aside_faulty(records, shape.width)


def is_encodable(text: str) -> bool:
    """Whether the text holds no lone surrogate, which stands for a byte that could not be decoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_plain(lines: list[str], first_line: int, shape: Shape) -> Records | None:
    """Return the records if each is one line, which is the fast and usual case."""
    try:
        rows = list(csv.reader(lines, delimiter=shape.delimiter, strict=True))
    except csv.Error:
        return None
    numbers = list(range(first_line, first_line + len(lines)))
    return Records(rows, numbers, len(lines)) if len(rows) == len(lines) else None


def _read_carefully(lines: list[str], first_line: int, shape: Shape, *, is_last: bool) -> Records:
    """Read record by record: a quote that nobody closes must not swallow the rows after it."""
    rows: list[list[str]] = []
    numbers: list[int] = []
    rejects: list[Reject] = []
    at = 0
    while at < len(lines):
        taken = _take(lines, at, shape, is_last=is_last)
        if taken is None:
            break
        if taken.reason:
            rejects.append(Reject(first_line + at, taken.reason, (lines[at].rstrip("\n"),)))
        else:
            rows.append(taken.fields)
            numbers.append(first_line + at)
        at += taken.lines
    return Records(rows, numbers, at, rejects)


@dataclass(frozen=True)
class _Taken:
    """One record and its lines, or why its first line is none."""

    lines: int
    fields: list[str] = field(default_factory=list)
    reason: str | None = None


def _take(lines: list[str], at: int, shape: Shape, *, is_last: bool) -> _Taken | None:
    """Read the record that begins at a line; None when only the next block can tell where it ends."""
    reader = csv.reader(islice(lines, at, at + MAX_RECORD_LINES), delimiter=shape.delimiter, strict=True)
    try:
        fields = next(reader)
    except csv.Error as error:
        runs_off = at + reader.line_num == len(lines) and reader.line_num < MAX_RECORD_LINES
        if runs_off and not is_last:
            return None
        return _Taken(1, reason=f"not CSV: {error}")
    if reader.line_num > 1 and len(fields) != shape.width:
        return _Taken(1, reason=UNCLOSED)
    return _Taken(reader.line_num, fields)


def _set_aside_faulty(records: Records, width: int) -> Records:
    """Move records of another width or with undecodable bytes to the rejects; drop blank lines."""
    faults = [_fault(row, width) for row in records.rows]
    numbered = list(zip(records.numbers, records.rows, faults, strict=True))
    bad = [Reject(number, fault, tuple(row)) for number, row, fault in numbered if fault]
    good = [(number, row) for number, row, fault in numbered if row and not fault]
    return replace(
        records,
        rows=[row for _, row in good],
        numbers=[number for number, _ in good],
        rejects=sorted(records.rejects + bad, key=lambda reject: reject.line),
    )


def _fault(row: list[str], width: int) -> str | None:
    if row and len(row) != width:
        return f"{len(row)} columns instead of {width}"
    return None if is_encodable("".join(row)) else UNDECODABLE


def split_header(header: str, delimiters: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the delimiter that splits the header into most names, and the names."""
    splits = {delimiter: next(_reader(header, delimiter), []) for delimiter in delimiters}
    return max(splits.items(), key=lambda split: len(split[1]))


def _reader(header: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader([header], delimiter=delimiter)
