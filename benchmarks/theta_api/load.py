"""A load generator that costs little: requests written beforehand, over connections that stay open."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

CONNECTIONS = 64
END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Measured:
    """Seconds of every request from the moment it was due, and the statuses."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    took_secs: float = 0.0

    def quantile_ms(self, share: float) -> float:
        """Return the time within which that share of the requests was answered."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return a request as it goes over the wire."""
    given = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in (given | headers).items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def at_a_rate(port: int, requests: Sequence[bytes], per_second: float) -> Measured:
    """Send requests at their times, whether or not earlier ones were answered."""
    return asyncio.run(_send(port, requests, 1 / per_second))


def as_fast_as_it_goes(port: int, requests: Sequence[bytes]) -> Measured:
    """Keep every connection busy until all are sent."""
    return asyncio.run(_send(port, requests, 0.0))


async def _send(port: int, requests: Sequence[bytes], interval_secs: float) -> Measured:
    measured = Measured()
    numbers = iter(range(len(requests)))
    begun = time.perf_counter()

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            due = begun + number * interval_secs if interval_secs else time.perf_counter()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(requests[number])
            head = await reader.readuntil(END_OF_HEAD)
            await reader.readexactly(_length(head))
            measured.seconds.append(time.perf_counter() - due)
            measured.statuses[int(head[9:12])] += 1
        writer.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    measured.took_secs = time.perf_counter() - begun
    return measured


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    raise ValueError("The answer has no Content-Length.")
