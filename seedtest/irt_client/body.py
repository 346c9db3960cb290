"""The body of a calibration request, written piece by piece: its answers are never one JSON text."""

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import polars as pl

from seedtest.engine import FitRequest
from seedtest.irt import ItemParameters
from seedtest.irt.rules import plausible

ROWS_A_PIECE: Final = 50_000
"""About 4 MB of JSON: large enough to cost little a row, small enough to be no matter of memory."""

GZIP_LEVEL: Final = 1
"""Ids repeat so much that the fastest level leaves a seventh."""

SMALLEST_PACKED_BYTES: Final = 16_384

_GZIP_CONTAINER: Final = zlib.MAX_WBITS | 16


def request_body(request: FitRequest) -> Iterator[bytes]:
    """Yield the JSON of a request: options first, then the observations."""
    head = json.dumps(_options(request), ensure_ascii=False, allow_nan=False)
    yield f'{head[:-1]}, "observations": ['.encode()
    observations = request.answers.select("user_id", "item_id", is_correct="correct")
    for at, rows in enumerate(observations.iter_slices(ROWS_A_PIECE)):
        array = rows.write_json()
        yield f"{',' if at else ''}{array[1:-1]}".encode()
    yield b"]}"


def gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces as one gzip stream, in pieces that are worth a packet."""
    compressor = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP_CONTAINER)
    packed = b""
    for piece in pieces:
        packed += compressor.compress(piece)
        if len(packed) >= SMALLEST_PACKED_BYTES:
            yield packed
            packed = b""
    yield packed + compressor.flush()


def _options(request: FitRequest) -> dict[str, Any]:
    held = {"fixed": True}
    return {
        "model": request.model,
        "min_responses": request.min_responses,
        "anchors": [row | held for row in _rows(_anchors(request))],
        "starts": _rows(request.starts.select(plausible(request.starts))),
    }


def _anchors(request: FitRequest) -> ItemParameters:
    """Return the anchors to hold: those with answers, and none for a free fit.

    The pipeline links a free fit itself, whichever engine made it.
    """
    answered = request.answers["item_id"].unique()
    ids = pl.Series(request.anchors.item_ids, dtype=pl.String)
    return request.anchors.select(ids.is_in(answered.implode()).to_numpy() & request.hold_anchors)


def _rows(items: ItemParameters) -> list[dict[str, Any]]:
    columns = zip(items.item_ids, items.a.tolist(), items.b.tolist(), items.c.tolist(), strict=True)
    return [{"item_id": item_id, "params": {"a": a, "b": b, "c": c}} for item_id, a, b, c in columns]
