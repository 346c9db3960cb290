"""The file of rejected rows: line, reason, and the row as it was."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import polars as pl

from seedtest.errors import ImportFileError
from seedtest.local.importer.model import Batch, Reject

OWN_COLUMNS = ("line", "reason")


def default_rejects_path(folder: Path, source: Path) -> Path:
    """Return where a file's rejects go unless told: the hash keeps apart files of the same name."""
    digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]
    return folder / "rejects" / f"{source.stem}-{digest}.csv"


def rejected_rows(batch: Batch, reasons: pl.Series) -> list[Reject]:
    """Return the rows of a batch whose reason is not null."""
    is_bad = reasons.is_not_null()
    bad = zip(
        batch.lines.filter(is_bad), reasons.filter(is_bad), batch.frame.filter(is_bad).rows(), strict=True
    )
    return [Reject(line, reason, fields) for line, reason, fields in bad]


class RejectsFile:
    """Written aside and put in place by `keep`; without that, or without rejects, there is none."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        _require_replaceable(path)
        self.path = path
        self.count = 0
        self._part = path.with_name(path.name + ".part")
        self._columns = columns
        # A mended rejects file keeps its first two columns; their new values take the place of the old.
        self._skipped = len(OWN_COLUMNS) if columns[: len(OWN_COLUMNS)] == OWN_COLUMNS else 0
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def add(self, rejects: Sequence[Reject]) -> None:
        """Write rejects with the fields they have, however many."""
        if rejects:
            csv.writer(self._open()).writerows(self._row(each) for each in rejects)
            self.count += len(rejects)

    def _row(self, reject: Reject) -> tuple[object, ...]:
        is_whole = len(reject.fields) == len(self._columns)
        return (reject.line, reject.reason, *reject.fields[self._skipped if is_whole else 0 :])

    def keep(self) -> Path | None:
        """Put the file in place and return where, or remove an older one when nothing was rejected."""
        if self._file is None:
            self.path.unlink(missing_ok=True)
            return None
        self._file.close()
        self._part.replace(self.path)
        return self.path

    def _open(self) -> TextIO:
        if self._file is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # Bytes that could not be decoded leave as they came.
                self._file = self._part.open("w", encoding="utf-8", errors="surrogateescape", newline="")
            except OSError as error:
                raise ImportFileError(
                    f"The rejects file {self.path} cannot be written: {error.strerror}. "
                    "Name another with --rejects."
                ) from error
            csv.writer(self._file).writerow((*OWN_COLUMNS, *self._columns[self._skipped :]))
        return self._file


def _require_replaceable(path: Path) -> None:
    """Raise ImportFileError when something else than an older rejects file is in the way."""
    if not path.exists():
        return
    mark = ",".join(OWN_COLUMNS).encode()
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(mark)) == mark:
                return
    raise ImportFileError(f"{path} exists and is no rejects file. Name another with --rejects.")
