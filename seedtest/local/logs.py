"""The end of a log file."""

from pathlib import Path

_TAIL_LINES = 15
_TAIL_BYTES = 20_000


def tail(log: Path, n_lines: int = _TAIL_LINES) -> str:
    """Return a sentence naming a log file, followed by its last lines, indented."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return f" It has written no log ({log})."
    lines = [line for line in text.splitlines() if line.strip()][-n_lines:]
    return "\n".join([f" The end of {log}:", *(f"    {line}" for line in lines)])
