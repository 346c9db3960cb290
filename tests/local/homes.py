"""Temporary homes for real servers."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder with a short path that other users may pass through, as a clone usually is."""
    with tempfile.TemporaryDirectory(prefix="st-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
