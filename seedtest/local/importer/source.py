"""Opening a file of answers: what it is, and clear words when it cannot be one."""

from pathlib import Path

from seedtest.errors import ImportFileError
from seedtest.local.importer.csv_source import open_csv
from seedtest.local.importer.model import Source
from seedtest.local.importer.parquet_source import open_parquet

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")

PARQUET_MAGIC = b"PAR1"
# What else people name .csv, by its first bytes.
OTHER_KINDS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\x1f\x8b": "compressed with gzip",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
}
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def open_source(path: Path, encoding: str | None, default_encoding: str) -> Source:
    """Open a CSV or Parquet file, told apart by the extension; raise ImportFileError when it is neither."""
    magic = _first_bytes(path)
    suffix = path.suffix.lower()
    if suffix in PARQUET_SUFFIXES:
        return open_parquet(path)
    if suffix not in CSV_SUFFIXES:
        raise ImportFileError(
            f"{path}: the extension {suffix or '(none)'} is not known. "
            f"Answers come as {', '.join(CSV_SUFFIXES)} or {', '.join(PARQUET_SUFFIXES)}."
        )
    if magic == PARQUET_MAGIC:
        raise ImportFileError(f"{path} is a Parquet file. Rename it to {path.with_suffix('.parquet').name}.")
    for start, kind in OTHER_KINDS.items():
        if magic.startswith(start):
            raise ImportFileError(f"{path} is {kind}, not CSV text. Unpack it, or export it as CSV.")
    return open_csv(path, _encoding(magic, encoding, default_encoding))


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise ImportFileError(f"{path} is a folder. Name one file in it.")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError as error:
        raise ImportFileError(f"There is no file {path}.") from error
    except OSError as error:
        raise ImportFileError(f"{path} cannot be read: {error.strerror}.") from error
    if not magic:
        raise ImportFileError(f"{path} is empty.")
    return magic


def _encoding(magic: bytes, named: str | None, default: str) -> str:
    """Return the encoding named, else what a byte order mark says, else the format's."""
    if named is not None:
        return "utf-8-sig" if named.lower().replace("_", "-") in {"utf-8", "utf8"} else named
    if magic.startswith(UTF8_MARK):
        return "utf-8-sig"
    return "utf-16" if magic.startswith(UTF16_MARKS) else default
