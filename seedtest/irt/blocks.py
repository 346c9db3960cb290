"""Answers in files: rows of codes, a block of learners a file, read in every pass."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seedtest.irt.compiled import kernels
from seedtest.irt.parameters import IndexArray
from seedtest.irt.rows import Rows


@dataclass(frozen=True, eq=False)
class StoredBlock:
    """Learners `first` … `last` − 1 in two files; items without a new number are left out on reading."""

    folder: Path
    number: int
    first: int
    last: int
    new_item: IndexArray | None = None

    @property
    def start_file(self) -> Path:
        """Where each learner's row starts."""
        return self.folder / f"{self.number}.start"

    @property
    def code_file(self) -> Path:
        """The rows' codes."""
        return self.folder / f"{self.number}.code"

    @property
    def user_file(self) -> Path:
        """The codes' learners, until they are sorted."""
        return self.folder / f"{self.number}.user"

    def load(self) -> Rows:
        """Read the block."""
        start = np.fromfile(self.start_file, dtype=np.int64)
        code = np.fromfile(self.code_file, dtype=np.int32)
        if self.new_item is None:
            return Rows(start, code)
        counting = kernels("counting")
        lengths = np.empty(start.size - 1, dtype=np.int64)
        counting.kept_lengths(start, code, self.new_item, lengths)
        kept_start, kept = np.zeros_like(start), np.empty(int(lengths.sum()), dtype=np.int32)
        counting.kept_codes(start, code, self.new_item, np.arange(lengths.size), kept_start, kept)
        return Rows(kept_start, kept)

    def add(self, user: IndexArray, code: IndexArray) -> None:
        """Append answers in any order."""
        for values, file in ((user, self.user_file), (code, self.code_file)):
            with file.open("ab") as end:
                values.tofile(end)

    def sort(self) -> None:
        """Put the answers that were added into rows, each sorted."""
        counting = kernels("counting")
        user = np.fromfile(self.user_file, dtype=np.int32)
        user -= np.int32(self.first)
        start = np.zeros(self.last - self.first + 1, dtype=np.int64)
        counting.add_lengths(user, start)
        np.cumsum(start, out=start)
        code = np.empty(user.size, dtype=np.int32)
        counting.place(user, np.fromfile(self.code_file, dtype=np.int32), start[:-1].copy(), code)
        counting.sort_rows(start, code, 0, start.size - 1)
        start.tofile(self.start_file)
        code.tofile(self.code_file)
        self.user_file.unlink()
