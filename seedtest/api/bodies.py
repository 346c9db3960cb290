"""Request bodies as they arrive: within limits, unpacked, never whole in memory."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request

from seedtest.errors import RequestError

KB = 1_000
MB = 1_000_000
PIECE_BYTES = 1 << 18
GZIP_WINDOW = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class BodyLimits:
    """How large a body may be, packed and unpacked, and how long it may stand still."""

    max_bytes: int
    idle_secs: float


async def read_pieces(request: Request, limits: BodyLimits) -> AsyncIterator[bytes]:
    """Give a body, unpacked, in pieces of at most a quarter of a megabyte.

    Raises
    ------
    RequestError
        413 for a body beyond the limit, 415 for an encoding other than gzip or a charset other than UTF-8,
        400 for a broken gzip stream, 408 when no byte comes for too long.
    """
    _require_utf8(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise _too_large(limits)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise RequestError(
            f"Content-Encoding {encoding[:40]!r} is not understood; send gzip or none.",
            status=415,
            headers={"Accept-Encoding": "gzip, identity"},
        )
    counted = _within(_arriving(request, limits), limits)
    unpacked = counted if encoding == "identity" else _within(_inflated(counted), limits)
    async for piece in unpacked:
        yield piece
        # A packed megabyte unpacks to a thousand: others have their turn in between.
        await asyncio.sleep(0)


async def _arriving(request: Request, limits: BodyLimits) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(limits.idle_secs):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            late = f"No byte of the body came for {limits.idle_secs:g} s."
            raise RequestError(late, status=408, headers={"Connection": "close"}) from None
        for start in range(0, len(chunk), PIECE_BYTES):
            yield chunk[start : start + PIECE_BYTES]


async def _within(pieces: AsyncIterator[bytes], limits: BodyLimits) -> AsyncIterator[bytes]:
    n_bytes = 0
    async for piece in pieces:
        n_bytes += len(piece)
        if n_bytes > limits.max_bytes:
            raise _too_large(limits)
        yield piece


async def _inflated(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Unpack gzip, of one or several members."""
    member = zlib.decompressobj(GZIP_WINDOW)
    async for piece in pieces:
        rest = piece
        while rest:
            if member.eof:
                member = zlib.decompressobj(GZIP_WINDOW)
            try:
                unpacked = member.decompress(rest, PIECE_BYTES)
            except zlib.error:
                raise RequestError("The body is no gzip stream, though Content-Encoding says so.") from None
            rest = member.unused_data if member.eof else member.unconsumed_tail
            # The header of a gzip stream unpacks to nothing, which a parser would take for the end.
            if unpacked:
                yield unpacked
    if not member.eof:
        raise RequestError("The gzip stream of the body ends too early.")


def _require_utf8(request: Request) -> None:
    _, _, charset = request.headers.get("content-type", "").lower().partition("charset=")
    name = charset.split(";")[0].strip(' "')
    if name not in {"", "utf-8", "utf8", "us-ascii"}:
        raise RequestError(f"Charset {name[:40]!r} is not understood; JSON is UTF-8.", status=415)


def _too_large(limits: BodyLimits) -> RequestError:
    large = limits.max_bytes >= MB
    size = f"{limits.max_bytes / MB:g} MB" if large else f"{limits.max_bytes / KB:g} kB"
    return RequestError(
        f"The body is larger than {size}, packed or unpacked.",
        status=413,
        headers={"Connection": "close"},
    )
