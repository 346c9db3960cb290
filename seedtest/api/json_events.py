"""JSON objects read as they arrive: each field has a reader, which takes what it wants of the events."""

from collections.abc import Callable, Collection, Generator, Mapping
from typing import Any, Final, TypeAlias

import ijson

from seedtest.errors import RequestError

Event: TypeAlias = tuple[str, Any]
"""What happened, in ijson's words, and the value that came with it."""

Reading: TypeAlias = Generator[None, Event, None]
"""Is sent events, beginning with a value's first, and returns after its last."""

FieldReader: TypeAlias = Callable[[], Reading]
"""Begins to read a field."""

MAX_DEPTH = 32
MAX_EVENTS = 4_000_000
"""Of what is kept as Python objects: enough for 400,000 items' parameters, in less than 500 MB."""
MAX_SILENT_BYTES = 1 << 20
"""A text or an answer longer than this is not waited for."""

TOO_DEEP: Final = f"The body is nested deeper than {MAX_DEPTH} levels."
DEPTH_CHANGE: Final = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
KINDS: Final = {
    "start_map": "an object",
    "start_array": "a list",
    "string": "text",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def skip_rest(event: str) -> Reading:
    """Read on to the end of a value that nobody wants, whose first event has come."""
    depth = DEPTH_CHANGE.get(event, 0)
    while depth > 0:
        event, _ = yield
        depth += DEPTH_CHANGE.get(event, 0)
        if depth > MAX_DEPTH:
            raise RequestError(TOO_DEEP)


class ObjectReader:
    """Reads one JSON object piece by piece.

    Parameters
    ----------
    kept
        Fields whose values are kept as Python objects.
    streamed
        How the values of other fields are read. What is in neither is skipped.
    n_streamed
        How much the readers of `streamed` have taken so far, in whatever unit.

    Attributes
    ----------
    values
        The values of the kept fields that were there.
    seen
        The fields that were there, kept or streamed.
    """

    def __init__(
        self,
        kept: Collection[str],
        streamed: Mapping[str, FieldReader] | None = None,
        n_streamed: Callable[[], int] = int,
    ) -> None:
        self.values: dict[str, Any] = {}
        self.seen: set[str] = set()
        self._kept, self._streamed, self._n_streamed = kept, streamed or {}, n_streamed
        self._n_events, self._silent_bytes = 0, 0
        reading = self._read()
        next(reading)
        self._parser = ijson.basic_parse_coro(reading, use_float=True)

    def feed(self, piece: bytes) -> None:
        """Take some bytes."""
        before = self._n_events + self._n_streamed()
        self._parse(lambda: self._parser.send(piece))
        is_silent = self._n_events + self._n_streamed() == before
        self._silent_bytes = self._silent_bytes + len(piece) if is_silent else 0
        if self._silent_bytes > MAX_SILENT_BYTES:
            raise RequestError("A single value of the body is longer than 1 MiB.")

    def close(self) -> None:
        """Require that the object is whole."""
        self._parse(self._parser.close)
        # The parser holds the reading and that holds this reader: a ring that would keep answers alive.
        del self._parser

    def _read(self) -> Reading:
        event, _ = yield
        if event != "start_map":
            raise RequestError(f"The body must be a JSON object, not {KINDS[event]}.")
        while (field := (yield))[0] != "end_map":
            name = field[1]
            if name in self.seen:
                raise RequestError(f"{name}: the body gives it twice.")
            if name in self._streamed:
                self.seen.add(name)
                yield from self._streamed[name]()
            elif name in self._kept:
                self.seen.add(name)
                builder = ijson.ObjectBuilder()
                yield from self._value(builder.event)
                self.values[name] = builder.value
            else:
                yield from self._value(_ignored)
        # ijson itself refuses what follows the object.
        yield

    def _value(self, take: Callable[[str, Any], None]) -> Reading:
        depth = 0
        while True:
            event, value = yield
            take(event, value)
            self._n_events += 1
            depth += DEPTH_CHANGE.get(event, 0)
            if depth > MAX_DEPTH:
                raise RequestError(TOO_DEEP)
            if self._n_events > MAX_EVENTS:
                raise RequestError(f"The body holds more than {MAX_EVENTS:,} values.", status=413)
            if depth == 0:
                return

    def _parse(self, step: Callable[[], object]) -> None:
        try:
            step()
        except ijson.JSONError as error:
            raise RequestError(f"The body is no JSON: {_first_line(error)}.") from None
        except UnicodeDecodeError:
            # Bytes that only look like UTF-8, or half of a surrogate pair, which the parser lets pass.
            raise RequestError("The body is no JSON: a text in it is not UTF-8.") from None


def _ignored(_event: str, _value: object) -> None:
    """Take no notice of an event."""


def _first_line(error: ijson.JSONError) -> str:
    """Return the complaint without the excerpt, which may show an answer."""
    text = error.args[0]
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return plain.splitlines()[0].rstrip(". ")
