"""pandoc as a kept process: documents go in and come out over pipes, nothing on the command line or disk.

A pandoc process costs 0.1 s to start; this one runs `worker.lua`, which reads the template and filter once
and answers a request per document, each with all formats from one reading of the markdown.
"""

import json
import os
import subprocess
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import pypandoc

from seedtest.errors import ReportError

WORKER = Path(__file__).parent / "worker.lua"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a process reads once: the filter, and a template for each format of pandoc's."""

    filter: str
    templates: Mapping[str, str]


class Pandoc:
    """A kept pandoc process; it starts with the first document, and anew after it broke."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._turn = threading.Lock()

    def convert(self, text: str, formats: Collection[str], media: Mapping[str, str]) -> dict[str, str]:
        """Return the document in each of pandoc's formats; `media` are the files that it refers to.

        Raises
        ------
        ReportError
            When pandoc refuses the document or ends.
        """
        request = {"text": text, "formats": list(formats), "media": dict(media)}
        with self._turn:
            try:
                answer: dict[str, str] = json.loads(self._ask(json.dumps(request).encode()))
            except (OSError, ValueError) as broken:
                self._end()
                raise ReportError(
                    f"pandoc ended while it rendered a report ({broken}): try again."
                ) from broken
        if "error" in answer:
            raise ReportError(f"pandoc cannot render the report: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: bytes) -> bytes:
        if self._process is None:
            self._process = self._started()
        process = self._process
        assert process.stdin is not None  # noqa: S101 (both are pipes)
        assert process.stdout is not None  # noqa: S101
        _write_frame(process.stdin, request)
        return _read_frame(process.stdout)

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [pypandoc.get_pandoc_path(), "lua", str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None  # noqa: S101 (it is a pipe)
        _write_frame(process.stdin, self._setup.filter.encode())
        _write_frame(process.stdin, json.dumps(dict(self._setup.templates)).encode())
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.communicate()


def _write_frame(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(b"%d\n" % len(content) + content)
    pipe.flush()


def _read_frame(pipe: IO[bytes]) -> bytes:
    length = int(pipe.readline())
    content = pipe.read(length)
    if len(content) < length:
        raise ValueError(f"{len(content)} of {length} bytes came")
    return content
