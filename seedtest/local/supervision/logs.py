"""Reading the log files of the stack's programs."""

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


class NewLines:
    """Whole lines that are written to a log from now on, across its rotation."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._position = log.stat().st_size if log.exists() else 0

    def read(self) -> list[str]:
        """Return the lines that have come since the last call."""
        if not self._log.exists():
            return []
        if self._log.stat().st_size < self._position:
            # Rotated: the file has begun anew.
            self._position = 0
        with self._log.open("rb") as stream:
            stream.seek(self._position)
            whole = stream.read().rpartition(b"\n")[0]
        if whole:
            self._position += len(whole) + 1
        return whole.decode("utf-8", errors="replace").splitlines()
