"""The `attempts` format: one answer a row, columns found by header."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from sqlalchemy.engine import Connection

from seedtest.errors import ImportFileError
from seedtest.local.importer.parse import words
from seedtest.local.importer.sessions import derive_sessions

REQUIRED = ("user_id", "item_id", "correct", "completed_at")
OPTIONAL = ("response_time_ms", "hints", "topic_id", "session_id")


def require_headers(path: Path, columns: tuple[str, ...], needed: Mapping[str, str], remedy: str) -> None:
    """Raise ImportFileError unless the file has every needed header; `needed` is our name → header."""
    missing = [header if ours == header else f"{header} (for {ours})" for ours, header in needed.items()]
    missing = [text for text, header in zip(missing, needed.values(), strict=True) if header not in columns]
    if missing:
        raise ImportFileError(
            f"{path} has no column {', '.join(missing)}. It has: {', '.join(columns)}. {remedy}"
        )


@dataclass(frozen=True)
class AttemptsFormat:
    """Headers are our names, or what `mapping` (our name → header) says instead."""

    path: Path
    mapping: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "utf-8-sig"
    has_times: bool = True

    def headers(self, columns: tuple[str, ...]) -> dict[str, str]:
        """Return our name → header for the columns that are there."""
        known = (*REQUIRED, *OPTIONAL)
        unknown = sorted(set(self.mapping) - set(known))
        if unknown:
            raise ImportFileError(f"--map names {unknown[0]!r}, which is none of {', '.join(known)}.")
        needed = {ours: self.mapping.get(ours, ours) for ours in REQUIRED} | dict(self.mapping)
        require_headers(
            self.path, columns, needed, "Say which column is which with --map, such as --map user_id=learner."
        )
        optional = {ours: ours for ours in OPTIONAL if ours in columns and ours not in needed}
        return needed | optional

    def items(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Name an unknown item by its id; the file says no more about it."""
        return frame.select(
            "item_id",
            "topic_id",
            words("Imported item ", pl.col("item_id")).alias("content"),
            pl.lit("{}").alias("meta"),
        )

    def place(self, connection: Connection) -> tuple[str, ...]:
        """Make sessions for the answers that name none."""
        return derive_sessions(connection)
