"""Files that only their owner may read: keys, made once."""

import os
import tempfile
from pathlib import Path


def write_once(path: Path, content: bytes) -> None:
    """Write a file for this user alone; one that is there already stays."""
    written = new_private_file(path.parent, content)
    try:
        # Of several processes that make one at once, all use the first one's.
        os.link(written, path)
    except FileExistsError:
        return
    finally:
        written.unlink()


def new_private_file(folder: Path, content: bytes) -> Path:
    """Return a new file of this user's alone."""
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return Path(name)
