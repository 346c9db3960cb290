"""How kernels are compiled, and where the result is kept, also where nothing can be written.

What was compiled is kept in this folder's `__pycache__`; `python -m seedtest.irt.warm` fills it at install
time. Where that cannot be written, as in a read-only image, its content is copied to a temporary folder
of this process; where there is no such folder either, kernels are compiled in every process.
"""

import atexit
import functools
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config
from numba.core.caching import InTreeCacheLocator

logger = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

HERE = Path(__file__).parent
SHIPPED = HERE / "__pycache__"
LOCATORS = "CACHE_LOCATOR_CLASSES"


def compiled(function: Function) -> Function:
    """Compile a kernel at its first call: without the GIL, sums reordered to use vector instructions."""
    return _jit(function, fastmath={"contract", "nsz", "arcp", "reassoc"})


def compiled_exactly(function: Function) -> Function:
    """Compile a kernel whose operations must stay in the order they are written in."""
    return _jit(function, fastmath={"contract"})


def _jit(function: Function, fastmath: set[str]) -> Function:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    folder = cache_folder()
    if folder is None:
        return numba.njit(**options)(function)  # type: ignore[no-any-return]  # numba's own typing
    with _our_locator():
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]  # as above


@functools.cache
def cache_folder() -> Path | None:
    """Where compiled code of this process is read and kept; None: nowhere."""
    if _writable(SHIPPED):
        return SHIPPED
    try:
        private = Path(tempfile.mkdtemp(prefix="seedtest-irt-"))
    except OSError as error:
        logger.warning("Compiled kernels cannot be kept, each process compiles anew: %s", error)
        return None
    atexit.register(_remove, private, os.getpid())
    for file in SHIPPED.glob("*.nb[ci]"):
        shutil.copy(file, private)
    return private


@functools.cache
def source_stamp() -> str:
    """Digest of all kernels: one that calls another is compiled anew when either changes."""
    digest = hashlib.sha256()
    for source in sorted(HERE.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


class KernelCacheLocator(InTreeCacheLocator):
    """Tells numba our folder and our stamp."""

    def get_cache_path(self) -> str:
        """Return the folder of `cache_folder`."""
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        """Return the digest of all kernels."""
        return source_stamp()


@contextmanager
def _our_locator() -> Iterator[None]:
    # numba takes these from NUMBA_CACHE_LOCATOR_CLASSES, for the whole process; we are a guest in it.
    before = getattr(config, LOCATORS)
    setattr(config, LOCATORS, f"{__name__}.{KernelCacheLocator.__name__}")
    try:
        yield
    finally:
        setattr(config, LOCATORS, before)


def _remove(folder: Path, owner: int) -> None:
    # A process forked from this one takes the registration along, and may end first.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
