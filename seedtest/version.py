"""Which code is running."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGE_VERSION = version("seedtest-analytics")


@cache
def code_version() -> str:
    """Return the package's version with a hash of the sources, so that an edit shows without a commit."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for folder in ("seedtest", "reports", "flows"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return f"{PACKAGE_VERSION}+{digest.hexdigest()[:12]}"
